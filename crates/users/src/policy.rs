//! Who may do what, in one place. Everything that is not allowed here is forbidden.

use platform::caller::Role;

/// Every member may see the organization they belong to.
pub(crate) fn may_read_organization(_: Role) -> bool {
    true
}

/// Owners and admins may rename an organization.
pub(crate) fn may_update_organization(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owners_and_admins_rename() {
        let allowed: Vec<Role> = Role::ALL.into_iter().filter(|role| may_update_organization(*role)).collect();
        assert_eq!(allowed, [Role::Owner, Role::Admin]);
    }
}
