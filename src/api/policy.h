/*
 * Policy: who may do what, in oslo.policy's language.
 *
 *     role:admin                          a role of the token, those implied included
 *     rule:owner                          another rule
 *     project_id:%(project_id)s           an attribute of the caller equals one of the target
 *     "public":%(visibility)s             a literal equals one of the target
 *     system_scope:all   is_admin:True    as OpenStack has them
 *     @   !   ""                          always, never, always
 *     and, or, not, parentheses
 *
 * Defaults stand in the services' tables; a file overrides them line by line, as
 *
 *     "compute:start": "role:operator or rule:admin"
 *
 * A rule that is not known, or refers to one that is not, is an error with file and line.
 */
#ifndef YUNDUO_API_POLICY_H
#define YUNDUO_API_POLICY_H

#include "api/api.h"

struct policy;

/* 'file' may be null. 0; FAULT with a sentence; negative. */
int policy_new(const struct service *const *services, const char *file, struct policy **ret, struct fault *fault);
void policy_free(struct policy *p);
/* Whether the rule lets this caller. An unknown rule refuses. */
bool policy_check(const struct policy *p, const char *rule, const struct auth *auth, const struct strmap *target);

#endif
