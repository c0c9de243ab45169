/*
 * Resources: list, show, create, update and delete from one declaration.
 *
 * A resource names its kind and the few functions in which it differs from every other. Adding a
 * plain resource is its fields, a 'struct resource' and five route rows that name it with the
 * generic verbs below; a verb that is special calls the pieces.
 */
#ifndef YUNDUO_API_RESOURCE_H
#define YUNDUO_API_RESOURCE_H

#include "api/api.h"

struct resource {
    const char *one, *many;         /* "network", "networks": the keys of bodies */
    const struct kind *kind;
    const char *title;              /* "Network": for messages */
    const char *not_found;          /* type of the 404: "NetworkNotFound" */
    const char *not_found_noun;     /* "network" makes it "Could not find network: ID."; null: "Network ID could not be found." */
    const char *rule_prefix;        /* rules are "<prefix>:create_network" or, with rule_verb_last, "<prefix>:network:create" */

    /* Which objects the caller may see: adds conditions to a list. Null: those of the caller's
     * project (kinds with project_id), all for administrators. */
    int (*scope)(struct call *c, struct query *q);
    /* Whether the caller may see this one (show, update, delete); false makes a 404. Null: as scope's default. */
    bool (*visible)(struct call *c, const void *object);
    /* Translates a filter of the query string that is no FILTER row. 1: it is none of ours (ignored);
     * 0: done; FAULT. Null: others are ignored. */
    int (*filter)(struct call *c, struct query *q, const char *name, const char *value);
    /* Members of the reply beyond the rows. 'full' is false in lists without details. */
    int (*render)(struct call *c, const void *object, struct json_out *o, bool full);
    /* Rows that lists without details show; null: all. */
    const char *const *brief;

    /* In the transaction. Create: 'object' has defaults, what the body gave, a new id, project_id,
     * created_at and updated_at; fill the rest, check, write what goes along. It is put after that. */
    int (*create)(struct call *c, void *object);
    /* 'before' is what is stored, 'object' the same with what the body gave applied. */
    int (*update)(struct call *c, const void *before, void *object);
    /* Refuse (in use), delete what goes along. It is deleted after that. */
    int (*remove)(struct call *c, void *object);
    /* After txn_put() said TXN_TAKEN: the fault. Null: 409. */
    int (*taken)(struct call *c, const void *object);
    bool hex_ids;                   /* 32 hex digits instead of a dashed uuid */
    bool numbered_bulk;             /* create takes {"many": [...]} too (Neutron's bulk) */
};

/* Verbs for route rows with .resource. Create and update rows need .body = the kind's schema. */
int resource_list(struct call *c);
int resource_list_detail(struct call *c);   /* the same with 'full' */
int resource_show(struct call *c);          /* parameter {id} */
int resource_create(struct call *c);
int resource_update(struct call *c);
int resource_delete(struct call *c);        /* status 204 unless the row says otherwise */

/* The pieces. */

/* The object of {id} that the caller may see, in c->txn; else the 404 of the resource. */
int resource_get(struct call *c, const struct resource *r, const char *id, void **ret);
/* Fills a query from the query string: filters of FILTER rows, limit, marker, sort, as the
 * service's list style says. FAULT 400 for a bad limit, sort key or marker. */
int resource_query(struct call *c, const struct resource *r, struct query *q);
/* Writes {"many": [...]} with the service's links. */
int resource_render_list(struct call *c, const struct resource *r, const struct results *l, const struct query *q,
                         bool full);
/* Writes {"one": {...}}. */
int resource_render_one(struct call *c, const struct resource *r, const void *object);
/* Writes the object alone: the fields that the query names, or all; of 'only', when not null. */
int resource_render(struct call *c, const struct resource *r, const void *object, bool full,
                    const struct given *only, struct json_out *o);

/* Whether the caller wants this member: the query names no fields, or this one among them. For
 * 'render' functions. */
bool resource_wants(struct call *c, const char *name);

/* How a service pages, sorts and links its lists. */
struct list_style {
    const char *limit_arg, *marker_arg;         /* "limit", "marker" */
    const char *sort_key_arg, *sort_dir_arg;    /* repeated pairs; null: none */
    const char *sort_arg;                       /* "key:dir,key:dir"; null: none */
    const char *reverse_arg;                    /* "page_reverse"; null */
    const char *fields_arg;                     /* "fields": only these members; null */
    const char *const *default_sort;            /* "created_at:desc", ...; ends with null; null: by id */
    size_t limit_max;                           /* more is cut down to this; 0: no maximum */
    size_t limit_default;                       /* 0: all */
    bool limit_zero_is_all;
    bool bad_filter_is_error;                   /* 400 for a query argument that is not known */
    /* Writes the links of a page, after the list: "networks_links": [...]. May be null. */
    void (*links)(struct call *c, const struct resource *r, const struct results *l, const struct query *q,
                  struct json_out *o);
};

#endif
