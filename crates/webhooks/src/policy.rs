//! Who may do what, in one place. Everything that is not allowed here is forbidden.

use platform::caller::Role;

/// Owners and admins decide where the organization's data is sent.
pub(crate) fn may_manage_endpoints(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

/// Everybody who works with the product sees endpoints and deliveries; those who only pay for it do not.
pub(crate) fn may_read_endpoints(role: Role) -> bool {
    role != Role::Billing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: impl Fn(Role) -> bool) -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| policy(*role)).collect()
    }

    #[test]
    fn owners_and_admins_manage_and_all_but_billing_read() {
        assert_eq!(allowed(may_manage_endpoints), [Role::Owner, Role::Admin]);
        assert_eq!(allowed(may_read_endpoints), [Role::Owner, Role::Admin, Role::Member, Role::Viewer]);
    }
}
