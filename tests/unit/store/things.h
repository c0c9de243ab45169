/* A kind for the tests of the store: one row of each type that becomes a column or a key. */
#ifndef YUNDUO_TESTS_THINGS_H
#define YUNDUO_TESTS_THINGS_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct part {
    const char *label;
    int64_t count;
};

struct thing {
    struct object head;
    const char *name;           /* without case */
    const char *code;           /* unique in its project, by key */
    const char *project;
    const char *host;
    int64_t size;
    double weight;
    bool enabled;
    int8_t tri;
    usec_t made;
    struct strv tags;
    struct strmap extra;
    VEC_OF(struct part) parts;
    const char *blob;
};

extern const struct schema THING_SCHEMA;
extern const struct kind THING, OTHER;
extern const struct kind *const KINDS[];

struct world {
    struct store *store;
    struct arena *arena;
};

int world_setup(void **state);
int world_teardown(void **state);

/* Writes one thing in a transaction of its own; returns what store_write() does. */
int thing_put(struct world *w, const struct thing *x);
/* A folder that the test owns, and its end. */
char *folder_new(void);
void folder_remove(char *dir);
/* "a,b,c": the ids a query finds, in order, with "+" at the end when there are more; "LOST". */
const char *ids_of(struct world *w, const struct query *q);

#endif
