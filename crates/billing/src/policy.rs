//! Who may do what, in one place. Everything that is not allowed here is forbidden.

use platform::caller::Role;

/// Who may spend the organization's money.
pub(crate) fn may_manage_billing(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin | Role::Billing)
}

/// Who may see what is paid for.
pub(crate) fn may_read_billing(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin | Role::Billing)
}

/// Everybody in the organization may know what it may use: interfaces are drawn from it.
pub(crate) fn may_read_entitlements(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin | Role::Member | Role::Billing | Role::Viewer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: impl Fn(Role) -> bool) -> Vec<Role> {
        Role::ALL.into_iter().filter(|role| policy(*role)).collect()
    }

    #[test]
    fn owners_admins_and_billing_manage_and_every_member_knows_the_entitlements() {
        assert_eq!(allowed(may_manage_billing), [Role::Owner, Role::Admin, Role::Billing]);
        assert_eq!(allowed(may_read_billing), [Role::Owner, Role::Admin, Role::Billing]);
        assert_eq!(allowed(may_read_entitlements), Role::ALL);
    }
}
