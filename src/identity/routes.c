/*
 * Every path of identity, with who may call it. Rules that need more than the caller are checked
 * by the verbs: those rows have none.
 */
#include "identity/internal.h"

#define V3 "/v3"
#define RULE(name) "identity:" name

/* clang-format off */
/* list, create, show, update and delete by the generic verbs */
#define CRUD(path, resource_, schema_, one, many, key) \
    { "GET", V3 path, resource_list, RULE("list_" many), .resource = &resource_ }, \
    { "POST", V3 path, resource_create, RULE("create_" one), 0, 201, .wrap = key, .body = &schema_, \
      .mode = DECODE_CREATE, .resource = &resource_ }, \
    { "GET", V3 path "/{id}", resource_show, RULE("get_" one), .resource = &resource_ }, \
    { "PATCH", V3 path "/{id}", resource_update, RULE("update_" one), .wrap = key, .body = &schema_, \
      .mode = DECODE_UPDATE, .resource = &resource_ }, \
    { "DELETE", V3 path "/{id}", resource_delete, RULE("delete_" one), 0, 204, .resource = &resource_ }

#define GRANTS(path, suffix) \
    { "GET", V3 path "/roles" suffix, grant_list }, \
    { "HEAD", V3 path "/roles/{role_id}" suffix, grant_check, .status = 204 }, \
    { "GET", V3 path "/roles/{role_id}" suffix, grant_check, .status = 204 }, \
    { "PUT", V3 path "/roles/{role_id}" suffix, grant_put, .status = 204 }, \
    { "DELETE", V3 path "/roles/{role_id}" suffix, grant_delete, .status = 204 }

#define DOMAIN_CONFIG(path) \
    { "GET", V3 path, domain_config_get, RULE("get_domain_config") }, \
    { "PATCH", V3 path, domain_config_patch, RULE("update_domain_config"), .wrap = "config" }, \
    { "DELETE", V3 path, domain_config_delete, RULE("delete_domain_config"), 0, 204 }

#define POLICY_LINK(path) \
    { "PUT", V3 path, policy_link_put, RULE("create_policy_association"), 0, 204 }, \
    { "GET", V3 path, policy_link_check, RULE("check_policy_association"), 0, 204 }, \
    { "DELETE", V3 path, policy_link_delete, RULE("delete_policy_association"), 0, 204 }

#define INHERITED "/inherited_to_projects"
/* clang-format on */

const struct route IDENTITY_ROUTES[] = {
    { "GET", "", versions_root, NULL, ROUTE_PUBLIC, 300, .doc = "The versions of the API." },
    { "GET", "/", versions_root, NULL, ROUTE_PUBLIC, 300 },
    { "GET", V3, versions_v3, NULL, ROUTE_PUBLIC },
    { "GET", V3 "/", versions_v3, NULL, ROUTE_PUBLIC },

    { "POST", V3 "/auth/tokens", auth_post, NULL, ROUTE_PUBLIC, 201, .wrap = "auth",
      .doc = "Proves who one is." },
    { "GET", V3 "/auth/tokens", auth_get, .doc = "What the token in X-Subject-Token says." },
    { "DELETE", V3 "/auth/tokens", auth_delete, .status = 204,
      .doc = "Revokes the token in X-Subject-Token." },
    { "GET", V3 "/auth/catalog", auth_catalog, RULE("get_auth_catalog") },
    { "GET", V3 "/auth/projects", auth_projects, RULE("get_auth_projects") },
    { "GET", V3 "/auth/domains", auth_domains, RULE("get_auth_domains") },
    { "GET", V3 "/auth/system", auth_system, RULE("get_auth_system") },
    { "GET", V3 "/OS-REVOKE/events", revoke_events, RULE("list_revoke_events") },

    { "GET", V3 "/domains", resource_list, NULL, .resource = &DOMAIN_RESOURCE },
    { "POST", V3 "/domains", resource_create, RULE("create_domain"), 0, 201, .wrap = "domain",
      .body = &DOMAIN_SCHEMA, .mode = DECODE_CREATE, .resource = &DOMAIN_RESOURCE },
    { "GET", V3 "/domains/{id}", resource_show, NULL, .resource = &DOMAIN_RESOURCE },
    { "PATCH", V3 "/domains/{id}", resource_update, RULE("update_domain"), .wrap = "domain",
      .body = &PROJECT_SCHEMA, .mode = DECODE_UPDATE, .resource = &DOMAIN_RESOURCE },
    { "DELETE", V3 "/domains/{id}", resource_delete, RULE("delete_domain"), 0, 204,
      .resource = &DOMAIN_RESOURCE },

    { "GET", V3 "/projects", resource_list, NULL, .resource = &PROJECT_RESOURCE },
    { "POST", V3 "/projects", resource_create, RULE("create_project"), 0, 201, .wrap = "project",
      .body = &PROJECT_SCHEMA, .mode = DECODE_CREATE, .resource = &PROJECT_RESOURCE },
    { "GET", V3 "/projects/{id}", project_show },
    { "PATCH", V3 "/projects/{id}", resource_update, RULE("update_project"), .wrap = "project",
      .body = &PROJECT_SCHEMA, .mode = DECODE_UPDATE, .resource = &PROJECT_RESOURCE },
    { "DELETE", V3 "/projects/{id}", resource_delete, RULE("delete_project"), 0, 204,
      .resource = &PROJECT_RESOURCE },
    { "GET", V3 "/projects/{id}/tags", project_tags_list },
    { "PUT", V3 "/projects/{id}/tags", project_tags_set, RULE("update_project_tags") },
    { "DELETE", V3 "/projects/{id}/tags", project_tags_clear, RULE("delete_project_tags"), 0, 204 },
    { "GET", V3 "/projects/{id}/tags/{tag}", project_tag_get, .status = 204 },
    { "PUT", V3 "/projects/{id}/tags/{tag}", project_tag_add, RULE("create_project_tag"), 0, 201 },
    { "DELETE", V3 "/projects/{id}/tags/{tag}", project_tag_remove, RULE("delete_project_tag"), 0, 204 },

    { "GET", V3 "/users", resource_list, NULL, .resource = &USER_RESOURCE },
    { "POST", V3 "/users", user_create, RULE("create_user"), 0, 201, .wrap = "user", .body = &USER_SCHEMA,
      .mode = DECODE_CREATE, .resource = &USER_RESOURCE },
    { "GET", V3 "/users/{id}", user_show },
    { "PATCH", V3 "/users/{id}", user_update, RULE("update_user"), .wrap = "user", .body = &USER_SCHEMA,
      .mode = DECODE_UPDATE, .resource = &USER_RESOURCE },
    { "DELETE", V3 "/users/{id}", resource_delete, RULE("delete_user"), 0, 204, .resource = &USER_RESOURCE },
    { "POST", V3 "/users/{id}/password", user_password, NULL, ROUTE_PUBLIC, 204, .wrap = "user",
      .doc = "Changes one's own password; the old one proves who one is." },
    { "GET", V3 "/users/{id}/projects", user_projects },
    { "GET", V3 "/users/{id}/groups", user_groups },

    { "GET", V3 "/groups", resource_list, NULL, .resource = &GROUP_RESOURCE },
    { "POST", V3 "/groups", resource_create, RULE("create_group"), 0, 201, .wrap = "group",
      .body = &GROUP_SCHEMA, .mode = DECODE_CREATE, .resource = &GROUP_RESOURCE },
    { "GET", V3 "/groups/{id}", group_show },
    { "PATCH", V3 "/groups/{id}", resource_update, RULE("update_group"), .wrap = "group",
      .body = &GROUP_SCHEMA, .mode = DECODE_UPDATE, .resource = &GROUP_RESOURCE },
    { "DELETE", V3 "/groups/{id}", resource_delete, RULE("delete_group"), 0, 204,
      .resource = &GROUP_RESOURCE },
    { "GET", V3 "/groups/{id}/users", group_users },
    { "PUT", V3 "/groups/{id}/users/{user_id}", member_add, RULE("add_user_to_group"), 0, 204 },
    { "GET", V3 "/groups/{id}/users/{user_id}", member_check, .status = 204 },
    { "DELETE", V3 "/groups/{id}/users/{user_id}", member_remove, RULE("remove_user_from_group"), 0, 204 },

    CRUD("/roles", ROLE_RESOURCE, ROLE_SCHEMA, "role", "roles", "role"),
    { "GET", V3 "/roles/{id}/implies", implied_list, RULE("list_implied_roles") },
    { "GET", V3 "/roles/{id}/implies/{implied_id}", implied_get, RULE("get_implied_role") },
    { "PUT", V3 "/roles/{id}/implies/{implied_id}", implied_put, RULE("create_implied_role"), 0, 201 },
    { "DELETE", V3 "/roles/{id}/implies/{implied_id}", implied_delete, RULE("delete_implied_role"), 0, 204 },
    { "GET", V3 "/role_inferences", inferences_list, RULE("list_role_inference_rules") },
    { "GET", V3 "/role_assignments", assignments_list },
    GRANTS("/projects/{project_id}/users/{user_id}", ""),
    GRANTS("/projects/{project_id}/groups/{group_id}", ""),
    GRANTS("/domains/{domain_id}/users/{user_id}", ""),
    GRANTS("/domains/{domain_id}/groups/{group_id}", ""),
    GRANTS("/system/users/{user_id}", ""),
    GRANTS("/system/groups/{group_id}", ""),
    GRANTS("/OS-INHERIT/projects/{project_id}/users/{user_id}", INHERITED),
    GRANTS("/OS-INHERIT/projects/{project_id}/groups/{group_id}", INHERITED),
    GRANTS("/OS-INHERIT/domains/{domain_id}/users/{user_id}", INHERITED),
    GRANTS("/OS-INHERIT/domains/{domain_id}/groups/{group_id}", INHERITED),

    CRUD("/regions", REGION_RESOURCE, REGION_SCHEMA, "region", "regions", "region"),
    { "PUT", V3 "/regions/{id}", region_put, RULE("create_region"), 0, 201, .wrap = "region",
      .body = &REGION_SCHEMA, .mode = DECODE_CREATE, .resource = &REGION_RESOURCE },
    CRUD("/services", SERVICE_RESOURCE, CATALOG_SERVICE_SCHEMA, "service", "services", "service"),
    CRUD("/endpoints", ENDPOINT_RESOURCE, ENDPOINT_SCHEMA, "endpoint", "endpoints", "endpoint"),
    CRUD("/OS-EP-FILTER/endpoint_groups", ENDPOINT_GROUP_RESOURCE, ENDPOINT_GROUP_SCHEMA, "endpoint_group",
         "endpoint_groups", "endpoint_group"),
    { "GET", V3 "/OS-EP-FILTER/projects/{project_id}/endpoints", filter_project_endpoints,
      RULE("list_endpoints_for_project") },
    { "PUT", V3 "/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}", filter_endpoint_put,
      RULE("add_endpoint_to_project"), 0, 204 },
    { "GET", V3 "/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}", filter_endpoint_check,
      RULE("check_endpoint_in_project"), 0, 204 },
    { "DELETE", V3 "/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}", filter_endpoint_delete,
      RULE("remove_endpoint_from_project"), 0, 204 },
    { "GET", V3 "/OS-EP-FILTER/endpoints/{endpoint_id}/projects", filter_endpoint_projects,
      RULE("list_projects_for_endpoint") },
    { "GET", V3 "/OS-EP-FILTER/projects/{project_id}/endpoint_groups", filter_project_groups,
      RULE("list_endpoint_groups_for_project") },
    { "PUT", V3 "/OS-EP-FILTER/endpoint_groups/{group_id}/projects/{project_id}", filter_group_put,
      RULE("add_endpoint_group_to_project"), 0, 204 },
    { "GET", V3 "/OS-EP-FILTER/endpoint_groups/{group_id}/projects/{project_id}", filter_group_check,
      RULE("get_endpoint_group_in_project") },
    { "DELETE", V3 "/OS-EP-FILTER/endpoint_groups/{group_id}/projects/{project_id}", filter_group_delete,
      RULE("remove_endpoint_group_from_project"), 0, 204 },
    { "GET", V3 "/OS-EP-FILTER/endpoint_groups/{group_id}/projects", filter_group_projects,
      RULE("list_projects_associated_with_endpoint_group") },
    { "GET", V3 "/OS-EP-FILTER/endpoint_groups/{group_id}/endpoints", filter_group_endpoints,
      RULE("list_endpoints_associated_with_endpoint_group") },

    { "GET", V3 "/domains/config/default", domain_config_default, RULE("get_domain_config_default") },
    { "GET", V3 "/domains/config/{group}/default", domain_config_default, RULE("get_domain_config_default") },
    { "GET", V3 "/domains/config/{group}/{option}/default", domain_config_default,
      RULE("get_domain_config_default") },
    { "PUT", V3 "/domains/{id}/config", domain_config_put, RULE("create_domain_config"), .wrap = "config" },
    DOMAIN_CONFIG("/domains/{id}/config"),
    DOMAIN_CONFIG("/domains/{id}/config/{group}"),
    DOMAIN_CONFIG("/domains/{id}/config/{group}/{option}"),

    { "GET", V3 "/credentials", resource_list, NULL, .resource = &CREDENTIAL_RESOURCE },
    { "POST", V3 "/credentials", resource_create, NULL, 0, 201, .wrap = "credential",
      .body = &CREDENTIAL_SCHEMA, .mode = DECODE_CREATE, .resource = &CREDENTIAL_RESOURCE },
    { "GET", V3 "/credentials/{id}", credential_show },
    { "PATCH", V3 "/credentials/{id}", resource_update, NULL, .wrap = "credential",
      .body = &CREDENTIAL_SCHEMA, .mode = DECODE_UPDATE, .resource = &CREDENTIAL_RESOURCE },
    { "DELETE", V3 "/credentials/{id}", resource_delete, NULL, 0, 204, .resource = &CREDENTIAL_RESOURCE },
    { "GET", V3 "/users/{user_id}/credentials/OS-EC2", ec2_list },
    { "POST", V3 "/users/{user_id}/credentials/OS-EC2", ec2_create, .status = 201 },
    { "GET", V3 "/users/{user_id}/credentials/OS-EC2/{access}", ec2_show },
    { "DELETE", V3 "/users/{user_id}/credentials/OS-EC2/{access}", ec2_delete, .status = 204 },
    { "POST", V3 "/ec2tokens", ec2_tokens, RULE("ec2tokens_validate") },
    { "POST", V3 "/s3tokens", s3_tokens, RULE("s3tokens_validate") },

    { "GET", V3 "/users/{user_id}/application_credentials", app_cred_list },
    { "POST", V3 "/users/{user_id}/application_credentials", app_cred_create, NULL, 0, 201,
      .wrap = "application_credential", .body = &APP_CRED_SCHEMA, .mode = DECODE_CREATE },
    { "GET", V3 "/users/{user_id}/application_credentials/{id}", app_cred_show },
    { "DELETE", V3 "/users/{user_id}/application_credentials/{id}", app_cred_delete, .status = 204 },
    { "GET", V3 "/users/{user_id}/access_rules", access_rule_list },
    { "GET", V3 "/users/{user_id}/access_rules/{id}", access_rule_show },
    { "DELETE", V3 "/users/{user_id}/access_rules/{id}", access_rule_delete, .status = 204 },

    { "GET", V3 "/OS-TRUST/trusts", trust_list },
    { "GET", V3 "/OS-TRUST/trusts/", trust_list }, /* as clients spell it before a query */
    { "POST", V3 "/OS-TRUST/trusts", trust_create, NULL, 0, 201, .wrap = "trust", .body = &TRUST_SCHEMA,
      .mode = DECODE_CREATE },
    { "GET", V3 "/OS-TRUST/trusts/{id}", trust_show },
    { "DELETE", V3 "/OS-TRUST/trusts/{id}", trust_delete, .status = 204 },
    { "GET", V3 "/OS-TRUST/trusts/{id}/roles", trust_roles },
    { "GET", V3 "/OS-TRUST/trusts/{id}/roles/{role_id}", trust_role },

    { "GET", V3 "/registered_limits", resource_list, RULE("list_registered_limits"),
      .resource = &REGISTERED_LIMIT_RESOURCE },
    { "POST", V3 "/registered_limits", registered_limit_create, RULE("create_registered_limits"), 0, 201,
      .wrap = "registered_limits", .resource = &REGISTERED_LIMIT_RESOURCE },
    { "GET", V3 "/registered_limits/{id}", resource_show, RULE("get_registered_limit"),
      .resource = &REGISTERED_LIMIT_RESOURCE },
    { "PATCH", V3 "/registered_limits/{id}", resource_update, RULE("update_registered_limit"),
      .wrap = "registered_limit", .body = &REGISTERED_LIMIT_SCHEMA, .mode = DECODE_UPDATE,
      .resource = &REGISTERED_LIMIT_RESOURCE },
    { "DELETE", V3 "/registered_limits/{id}", resource_delete, RULE("delete_registered_limit"), 0, 204,
      .resource = &REGISTERED_LIMIT_RESOURCE },
    { "GET", V3 "/limits", resource_list, RULE("list_limits"), .resource = &LIMIT_RESOURCE },
    { "POST", V3 "/limits", limit_create, RULE("create_limits"), 0, 201, .wrap = "limits",
      .resource = &LIMIT_RESOURCE },
    { "GET", V3 "/limits/model", limit_model, RULE("get_limit_model") },
    { "GET", V3 "/limits/{id}", limit_show },
    { "PATCH", V3 "/limits/{id}", resource_update, RULE("update_limit"), .wrap = "limit",
      .body = &LIMIT_SCHEMA, .mode = DECODE_UPDATE, .resource = &LIMIT_RESOURCE },
    { "DELETE", V3 "/limits/{id}", resource_delete, RULE("delete_limit"), 0, 204,
      .resource = &LIMIT_RESOURCE },

    CRUD("/policies", POLICY_RESOURCE, POLICY_BLOB_SCHEMA, "policy", "policies", "policy"),
    POLICY_LINK("/policies/{id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id}"),
    POLICY_LINK("/policies/{id}/OS-ENDPOINT-POLICY/services/{service_id}"),
    POLICY_LINK("/policies/{id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id}"),
    { "GET", V3 "/policies/{id}/OS-ENDPOINT-POLICY/endpoints", policy_endpoints,
      RULE("list_endpoints_for_policy") },
    { "GET", V3 "/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy", endpoint_policy,
      RULE("get_policy_for_endpoint") },
    CRUD("/OS-OAUTH1/consumers", CONSUMER_RESOURCE, CONSUMER_SCHEMA, "consumer", "consumers", "consumer"),
};
_Static_assert(ARRAY_SIZE(IDENTITY_ROUTES) == IDENTITY_N_ROUTES, "tell internal.h how many routes there are");
