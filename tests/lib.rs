//! The tests of the whole house; see house.rs.
