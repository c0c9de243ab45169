/*
 * Identity: who is who, who may do what where, and where everything is (Keystone v3).
 *
 * What other slices and the programs need of it; everything else goes through its API.
 */
#ifndef YUNDUO_IDENTITY_IDENTITY_H
#define YUNDUO_IDENTITY_IDENTITY_H

#include "api/api.h"

extern const struct service IDENTITY_SERVICE;

/* ---- what other slices ask ---- */

/* 0 with *ret_name (in the transaction's arena) null when there is no such project. */
int identity_project_name(struct txn *t, const char *project_id, const char **ret_name);
int identity_user_name(struct txn *t, const char *user_id, const char **ret_name);
/* There, and it and its domain are enabled. */
int identity_project_enabled(struct txn *t, const char *project_id, bool *ret);
/* By id or, within the default domain, by name; *ret null when there is none. */
int identity_project_find(struct txn *t, struct arena *a, const char *id_or_name, const char **ret_id);
/* The projects below this one, itself excluded. */
int identity_project_tree(struct txn *t, struct arena *a, const char *project_id, struct strv *ret_ids);
/* Names of the roles that the user has on the project now, implied and inherited ones included. */
int identity_roles(struct api *api, struct txn *t, struct arena *a, const char *user_id,
                   const char *project_id, struct strv *ret_names);
/* Opens a token for the auth of an EC2 or S3 signature: the credential of this access key, with its
 * secret, and the auth of its owner. 0; FAULT 401; negative. The caller checks the signature. */
int identity_access_key(struct api *api, struct txn *t, struct arena *a, const char *access_key,
                        const char **ret_secret, struct auth *ret, struct fault *fault);
/* Where the service of a type is, by the catalog's own records; *ret_url null when it is not there. */
int identity_endpoint(struct txn *t, const char *type, const char *interface, const char *region_id,
                      const char **ret_url);
/* A token for a user on a project without credentials, for services that act for a user later
 * (the agent's metadata proxy, say). 'out' has 1024 bytes. */
int identity_issue(struct api *api, struct txn *t, struct arena *a, const char *user_id,
                   const char *project_id, usec_t lifetime, char *out, struct fault *fault);

#endif
