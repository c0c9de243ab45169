/* Rows that the kinds of the network slice share. */
#ifndef YUNDUO_NETWORK_ROWS_H
#define YUNDUO_NETWORK_ROWS_H

#define AT(type, member) offsetof(struct type, member)
#define BOTH (IN_CREATE | IN_UPDATE)

#define STANDARD_ROWS(type)                                                                                  \
    FIELD_ID(struct type),                                                                                   \
        { "project_id",                                                                                      \
          FIELD_STRING,                                                                                      \
          AT(type, std.project_id),                                                                          \
          IN_CREATE | FILTER | SORT | INDEX,                                                                 \
          .max = 255,                                                                                        \
          .doc = "The project that owns it." },                                                              \
        { "tenant_id",                                                                                       \
          FIELD_STRING,                                                                                      \
          AT(type, std.project_id),                                                                          \
          IN_CREATE | NOT_STORED,                                                                            \
          .max = 255,                                                                                        \
          .doc = "An older name of project_id." },                                                           \
        { "description", FIELD_STRING,    AT(type, std.description), BOTH | FILTER,                          \
          .max = 255,    .otherwise = "", .doc = "For people." },                                            \
        { "tags",    FIELD_STRINGS,   AT(type, std.tags),           INDEX,                                   \
          .max = 60, .items_max = 50, .doc = "Words to find it by." },                                       \
        { "revision_number", FIELD_INT, AT(type, std.revision_number), FILTER | SORT,                        \
          .doc = "Counts its changes." },                                                                    \
        { "created_at", FIELD_TIME, AT(type, std.created_at), SORT, .doc = "When it was made." },            \
    {                                                                                                        \
        "updated_at", FIELD_TIME, AT(type, std.updated_at), SORT, .doc = "When it was changed last."         \
    }

#define NAME_ROW(type)                                                                                       \
    {                                                                                                        \
        "name", FIELD_STRING, AT(type, name), BOTH | FILTER | SORT | INDEX,                                  \
            .max = 255, .otherwise = "", .doc = "Name for people; need not be unique."                       \
    }

/* Of resources that don't show the standard attributes but keep them. */
#define OWNED_ROWS(type)                                                                                     \
    FIELD_ID(struct type),                                                                                   \
        { "project_id",                                                                                      \
          FIELD_STRING,                                                                                      \
          AT(type, std.project_id),                                                                          \
          IN_CREATE | FILTER | SORT | INDEX,                                                                 \
          .max = 255,                                                                                        \
          .doc = "The project that owns it." },                                                              \
        { "tenant_id",                                                                                       \
          FIELD_STRING,                                                                                      \
          AT(type, std.project_id),                                                                          \
          IN_CREATE | NOT_STORED,                                                                            \
          .max = 255,                                                                                        \
          .doc = "An older name of project_id." },                                                           \
        { "revision_number", FIELD_INT, AT(type, std.revision_number), HIDDEN },                             \
        { "created_at", FIELD_TIME, AT(type, std.created_at), HIDDEN | SORT },                               \
    {                                                                                                        \
        "updated_at", FIELD_TIME, AT(type, std.updated_at), HIDDEN                                           \
    }

/* Everybody sees it: also by an RBAC policy (share.c), which is why it is rendered there. */
#define SHARED_ROW(type, flags)                                                                              \
    {                                                                                                        \
        "shared", FIELD_BOOL, AT(type, shared), (flags) | FILTER | LOOSE | HIDDEN | ADMIN_SETS,              \
            .otherwise = "false", .doc = "Every project may use it."                                         \
    }

#endif
