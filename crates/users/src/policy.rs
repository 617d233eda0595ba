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

/// Only owners end an organization.
pub(crate) fn may_delete_organization(role: Role) -> bool {
    role == Role::Owner
}

/// Every member sees who else belongs to the organization.
pub(crate) fn may_read_members(_: Role) -> bool {
    true
}

/// Addresses are personal: those who manage members see them, nobody else needs to.
pub(crate) fn may_read_addresses(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

/// Owners give everybody any role. Admins do so below the owners: they neither touch one nor make one, least of all
/// themselves.
pub(crate) fn may_change_role(caller: Role, from: Role, to: Role) -> bool {
    match caller {
        Role::Owner => true,
        Role::Admin => from != Role::Owner && to != Role::Owner,
        Role::Member | Role::Billing | Role::Viewer => false,
    }
}

/// Everybody may leave. Owners remove anybody, admins anybody but owners.
pub(crate) fn may_remove_member(caller: Role, member: Role, is_self: bool) -> bool {
    is_self || may_change_role(caller, member, member)
}

/// Who may make somebody of a role may invite somebody to it.
pub(crate) fn may_invite(caller: Role, role: Role) -> bool {
    may_change_role(caller, role, role)
}

/// Invitations hold addresses.
pub(crate) fn may_read_invitations(role: Role) -> bool {
    may_read_addresses(role)
}

/// Who may invite somebody to a role may take that back.
pub(crate) fn may_revoke_invitation(caller: Role, role: Role) -> bool {
    may_invite(caller, role)
}

/// Owners and admins see who did what.
pub(crate) fn may_read_audit_log(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_owners_make_touch_and_remove_owners() {
        for caller in Role::ALL {
            for (from, to) in Role::ALL.into_iter().flat_map(|from| Role::ALL.map(|to| (from, to))) {
                let owners = from == Role::Owner || to == Role::Owner;
                let expected = caller == Role::Owner || (caller == Role::Admin && !owners);
                assert_eq!(may_change_role(caller, from, to), expected, "{caller} makes {from} {to}");
            }
            for role in Role::ALL {
                let expected = caller == Role::Owner || (caller == Role::Admin && role != Role::Owner);
                assert_eq!(may_remove_member(caller, role, false), expected, "{caller} removes {role}");
                assert!(may_remove_member(caller, role, true), "{caller} leaves");
                assert_eq!(may_invite(caller, role), expected, "{caller} invites {role}");
            }
        }
    }

    #[test]
    fn only_owners_and_admins_rename() {
        let allowed: Vec<Role> = Role::ALL.into_iter().filter(|role| may_update_organization(*role)).collect();
        assert_eq!(allowed, [Role::Owner, Role::Admin]);
    }
}
