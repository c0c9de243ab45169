/*
 * Who may do what: one row for each rule, the secure defaults of OpenStack's identity.
 *
 * "admin_required" is the role admin in whatever scope. Readers of the system see everything,
 * readers of a domain what is in the domain, users what is their own. An operator overrides rows
 * in the policy file.
 */
#include "identity/internal.h"

/* clang-format off */
#define ADMIN "rule:admin_required"
#define SYSTEM_READER "(role:reader and system_scope:all)"
#define READERS "rule:admin_required or " SYSTEM_READER
#define DOMAIN_READER "(role:reader and domain_id:%(target.domain_id)s)"
#define PROJECT_READERS \
    READERS " or (role:reader and domain_id:%(target.project.domain_id)s) or project_id:%(target.project.id)s"
#define USER_READERS \
    READERS " or (role:reader and domain_id:%(target.user.domain_id)s) or user_id:%(target.user.id)s"
#define GROUP_READERS READERS " or (role:reader and domain_id:%(target.group.domain_id)s)"
#define OWNER_OF_CREDENTIAL "user_id:%(target.credential.user_id)s"
#define TRUSTOR "user_id:%(target.trust.trustor_user_id)s"
#define TRUSTEE "user_id:%(target.trust.trustee_user_id)s"
#define GRANT_DOMAINS(role) \
    "((role:" role " and domain_id:%(target.user.domain_id)s and domain_id:%(target.project.domain_id)s) or " \
    "(role:" role " and domain_id:%(target.user.domain_id)s and domain_id:%(target.domain.id)s) or " \
    "(role:" role " and domain_id:%(target.group.domain_id)s and domain_id:%(target.project.domain_id)s) or " \
    "(role:" role " and domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s))"
#define GRANT_ROLE "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"

/* clang-format on */

const struct policy_rule IDENTITY_RULES[] = {
    { "admin_required", "role:admin or is_admin:1", "An administrator, in whatever scope." },
    { "service_role", "role:service", "A service's own account." },
    { "service_or_admin", "rule:admin_required or rule:service_role", NULL },
    { "owner", "user_id:%(user_id)s", "The user the thing belongs to." },
    { "admin_or_owner", "rule:admin_required or rule:owner", NULL },
    { "token_subject", "user_id:%(target.token.user_id)s", "The user the token is for." },

    { "identity:check_token", READERS " or rule:token_subject", NULL },
    { "identity:validate_token", READERS " or rule:service_role or rule:token_subject", NULL },
    { "identity:revoke_token", ADMIN " or rule:token_subject", NULL },
    { "identity:list_revoke_events", "rule:service_or_admin", NULL },
    { "identity:get_auth_catalog", "", "Anybody, about himself." },
    { "identity:get_auth_projects", "", NULL },
    { "identity:get_auth_domains", "", NULL },
    { "identity:get_auth_system", "", NULL },

    { "identity:get_domain",
      READERS " or token.domain.id:%(target.domain.id)s or "
              "token.project.domain.id:%(target.domain.id)s",
      NULL },
    { "identity:list_domains", READERS, NULL },
    { "identity:create_domain", ADMIN, NULL },
    { "identity:update_domain", ADMIN, NULL },
    { "identity:delete_domain", ADMIN, NULL },
    { "identity:get_domain_config", READERS, NULL },
    { "identity:create_domain_config", ADMIN, NULL },
    { "identity:update_domain_config", ADMIN, NULL },
    { "identity:delete_domain_config", ADMIN, NULL },
    { "identity:get_domain_config_default", READERS, NULL },

    { "identity:get_project", PROJECT_READERS, NULL },
    { "identity:list_projects", READERS " or " DOMAIN_READER, NULL },
    { "identity:list_user_projects", USER_READERS, NULL },
    { "identity:create_project", ADMIN, NULL },
    { "identity:update_project", ADMIN, NULL },
    { "identity:delete_project", ADMIN, NULL },
    { "identity:list_project_tags", PROJECT_READERS, NULL },
    { "identity:get_project_tag", PROJECT_READERS, NULL },
    { "identity:update_project_tags", ADMIN, NULL },
    { "identity:create_project_tag", ADMIN, NULL },
    { "identity:delete_project_tags", ADMIN, NULL },
    { "identity:delete_project_tag", ADMIN, NULL },

    { "identity:get_user",
      READERS " or (role:reader and token.domain.id:%(target.user.domain_id)s) or "
              "user_id:%(target.user.id)s",
      NULL },
    { "identity:list_users", READERS " or " DOMAIN_READER, NULL },
    { "identity:create_user", ADMIN, NULL },
    { "identity:update_user", ADMIN, NULL },
    { "identity:delete_user", ADMIN, NULL },

    { "identity:get_group", GROUP_READERS, NULL },
    { "identity:list_groups", GROUP_READERS, NULL },
    { "identity:list_groups_for_user", USER_READERS, NULL },
    { "identity:create_group", ADMIN, NULL },
    { "identity:update_group", ADMIN, NULL },
    { "identity:delete_group", ADMIN, NULL },
    { "identity:list_users_in_group", GROUP_READERS, NULL },
    { "identity:check_user_in_group",
      READERS " or (role:reader and domain_id:%(target.group.domain_id)s and "
              "domain_id:%(target.user.domain_id)s)",
      NULL },
    { "identity:add_user_to_group", ADMIN, NULL },
    { "identity:remove_user_from_group", ADMIN, NULL },

    { "identity:get_role", READERS, NULL },
    { "identity:list_roles", READERS, NULL },
    { "identity:create_role", ADMIN, NULL },
    { "identity:update_role", ADMIN, NULL },
    { "identity:delete_role", ADMIN, NULL },
    { "identity:get_implied_role", READERS, NULL },
    { "identity:list_implied_roles", READERS, NULL },
    { "identity:create_implied_role", ADMIN, NULL },
    { "identity:delete_implied_role", ADMIN, NULL },
    { "identity:list_role_inference_rules", READERS, NULL },

    { "identity:check_grant",
      ADMIN " or " SYSTEM_READER " or (" GRANT_DOMAINS("reader") " and " GRANT_ROLE ")", NULL },
    { "identity:list_grants", ADMIN " or " SYSTEM_READER " or " GRANT_DOMAINS("reader"), NULL },
    { "identity:create_grant", ADMIN " or (" GRANT_DOMAINS("admin") " and " GRANT_ROLE ")", NULL },
    { "identity:revoke_grant", ADMIN " or (" GRANT_DOMAINS("admin") " and " GRANT_ROLE ")", NULL },
    { "identity:list_system_grants_for_user", READERS, NULL },
    { "identity:check_system_grant_for_user", READERS, NULL },
    { "identity:create_system_grant_for_user", ADMIN, NULL },
    { "identity:revoke_system_grant_for_user", ADMIN, NULL },
    { "identity:list_system_grants_for_group", READERS, NULL },
    { "identity:check_system_grant_for_group", READERS, NULL },
    { "identity:create_system_grant_for_group", ADMIN, NULL },
    { "identity:revoke_system_grant_for_group", ADMIN, NULL },
    { "identity:list_role_assignments", READERS " or " DOMAIN_READER, NULL },
    { "identity:list_role_assignments_for_tree", READERS " or " DOMAIN_READER, NULL },

    { "identity:get_region", "", "Everybody may know the regions." },
    { "identity:list_regions", "", NULL },
    { "identity:create_region", ADMIN, NULL },
    { "identity:update_region", ADMIN, NULL },
    { "identity:delete_region", ADMIN, NULL },
    { "identity:get_service", READERS, NULL },
    { "identity:list_services", READERS, NULL },
    { "identity:create_service", ADMIN, NULL },
    { "identity:update_service", ADMIN, NULL },
    { "identity:delete_service", ADMIN, NULL },
    { "identity:get_endpoint", READERS, NULL },
    { "identity:list_endpoints", READERS, NULL },
    { "identity:create_endpoint", ADMIN, NULL },
    { "identity:update_endpoint", ADMIN, NULL },
    { "identity:delete_endpoint", ADMIN, NULL },
    { "identity:get_endpoint_group", READERS, NULL },
    { "identity:list_endpoint_groups", READERS, NULL },
    { "identity:create_endpoint_group", ADMIN, NULL },
    { "identity:update_endpoint_group", ADMIN, NULL },
    { "identity:delete_endpoint_group", ADMIN, NULL },
    { "identity:list_projects_associated_with_endpoint_group", READERS, NULL },
    { "identity:list_endpoints_associated_with_endpoint_group", READERS, NULL },
    { "identity:get_endpoint_group_in_project", READERS, NULL },
    { "identity:list_endpoint_groups_for_project", READERS, NULL },
    { "identity:add_endpoint_group_to_project", ADMIN, NULL },
    { "identity:remove_endpoint_group_from_project", ADMIN, NULL },
    { "identity:list_projects_for_endpoint", READERS, NULL },
    { "identity:add_endpoint_to_project", ADMIN, NULL },
    { "identity:check_endpoint_in_project", READERS, NULL },
    { "identity:list_endpoints_for_project", READERS, NULL },
    { "identity:remove_endpoint_from_project", ADMIN, NULL },

    { "identity:get_credential", READERS " or " OWNER_OF_CREDENTIAL, NULL },
    { "identity:list_credentials", READERS " or " OWNER_OF_CREDENTIAL, NULL },
    { "identity:create_credential", ADMIN " or " OWNER_OF_CREDENTIAL, NULL },
    { "identity:update_credential", ADMIN " or " OWNER_OF_CREDENTIAL, NULL },
    { "identity:delete_credential", ADMIN " or " OWNER_OF_CREDENTIAL, NULL },
    { "identity:ec2_get_credential", READERS " or " OWNER_OF_CREDENTIAL, NULL },
    { "identity:ec2_list_credentials", ADMIN " or (role:member and " OWNER_OF_CREDENTIAL ")", NULL },
    { "identity:ec2_create_credential", ADMIN " or (role:member and " OWNER_OF_CREDENTIAL ")", NULL },
    { "identity:ec2_delete_credential", ADMIN " or " OWNER_OF_CREDENTIAL, NULL },
    { "identity:ec2tokens_validate", "rule:service_or_admin", "Trading a signature for a token." },
    { "identity:s3tokens_validate", "rule:service_or_admin", NULL },

    { "identity:get_application_credential", READERS " or rule:owner", NULL },
    { "identity:list_application_credentials", READERS " or rule:owner", NULL },
    { "identity:create_application_credential", "user_id:%(user_id)s",
      "Nobody makes one for somebody else." },
    { "identity:delete_application_credential", "rule:admin_or_owner", NULL },
    { "identity:get_access_rule", READERS " or user_id:%(target.user.id)s", NULL },
    { "identity:list_access_rules", READERS " or user_id:%(target.user.id)s", NULL },
    { "identity:delete_access_rule", ADMIN " or user_id:%(target.user.id)s", NULL },

    { "identity:create_trust", TRUSTOR, "Nobody trusts for somebody else." },
    { "identity:list_trusts", READERS, NULL },
    { "identity:list_trusts_for_trustor", READERS " or " TRUSTOR, NULL },
    { "identity:list_trusts_for_trustee", READERS " or " TRUSTEE, NULL },
    { "identity:list_roles_for_trust", READERS " or " TRUSTOR " or " TRUSTEE, NULL },
    { "identity:get_role_for_trust", READERS " or " TRUSTOR " or " TRUSTEE, NULL },
    { "identity:delete_trust", ADMIN " or " TRUSTOR, NULL },
    { "identity:get_trust", READERS " or " TRUSTOR " or " TRUSTEE, NULL },

    { "identity:get_limit_model", "", NULL },
    { "identity:get_limit",
      READERS
      " or domain_id:%(target.limit.domain.id)s or "
      "domain_id:%(target.limit.project.domain_id)s or (project_id:%(target.limit.project_id)s and not "
      "None:%(target.limit.project_id)s)",
      NULL },
    { "identity:list_limits", "", "Each sees those of his project or domain." },
    { "identity:create_limits", ADMIN, NULL },
    { "identity:update_limit", ADMIN, NULL },
    { "identity:delete_limit", ADMIN, NULL },
    { "identity:get_registered_limit", "", NULL },
    { "identity:list_registered_limits", "", NULL },
    { "identity:create_registered_limits", ADMIN, NULL },
    { "identity:update_registered_limit", ADMIN, NULL },
    { "identity:delete_registered_limit", ADMIN, NULL },

    { "identity:get_policy", READERS, NULL },
    { "identity:list_policies", READERS, NULL },
    { "identity:create_policy", ADMIN, NULL },
    { "identity:update_policy", ADMIN, NULL },
    { "identity:delete_policy", ADMIN, NULL },
    { "identity:create_policy_association", ADMIN, NULL },
    { "identity:check_policy_association", READERS, NULL },
    { "identity:delete_policy_association", ADMIN, NULL },
    { "identity:get_policy_for_endpoint", READERS, NULL },
    { "identity:list_endpoints_for_policy", READERS, NULL },

    { "identity:get_consumer", READERS, NULL },
    { "identity:list_consumers", READERS, NULL },
    { "identity:create_consumer", ADMIN, NULL },
    { "identity:update_consumer", ADMIN, NULL },
    { "identity:delete_consumer", ADMIN, NULL },
};
_Static_assert(ARRAY_SIZE(IDENTITY_RULES) == IDENTITY_N_RULES, "tell internal.h how many rules there are");
