/*
 * The store: typed objects, transactions, queries, changes.
 *
 * An object is a struct that begins with 'struct object' and is described by a kind: its
 * schema (base/field.h) and its keys. It is saved as a JSON document with the revision of its
 * last change. Which engine saves it (the embedded one is SQLite) can't be told from here.
 *
 * Writing is done by a closure: it reads, checks and writes through its transaction, and either
 * everything it did becomes durable or nothing. store_write() returns after that. Closures run
 * as if one at a time, so what a closure has read stays true until its commit; a quota, a free
 * address, a claim on a host are checked inside. An engine may run a closure more than once
 * before it succeeds: it must have no effect but through its transaction and its own arg, which
 * it must leave ready for another run. It must be quick: no I/O, no hashing of passwords.
 *
 * Reading never waits for a writer: it sees the state of the last commit.
 */
#ifndef YUNDUO_STORE_STORE_H
#define YUNDUO_STORE_STORE_H

#include "base/error.h"
#include "base/field.h"

struct store;
struct txn;

/* ---- kinds ---- */

struct key_sink;
/* A key for lookups (query operation Q_KEY). 'name' is a literal of the kind's own. */
void key_add(struct key_sink *k, const char *name, const char *value);
/* One that only one object of the kind may have: see TXN_TAKEN. Null values are passed over. */
void key_add_unique(struct key_sink *k, const char *name, const char *value);

struct kind {
    const char *name;               /* "identity.project"; also the name of its table */
    const struct schema *schema;
    /* Compound indexes: each names FILTER or SORT fields, "project_id,created_at". Ends with null; may be null. */
    const char *const *indexes;
    /* Emits what the object is found by beyond its columns, such as "subnet/address" of each
     * fixed address. FIELD_STRINGS rows with INDEX emit each element as a key named like the
     * row by themselves. May be null. Pure: depends on the object alone. */
    void (*keys)(const void *object, struct key_sink *k);
    /* The row that names the host an object is placed on; changes then tell it. May be null. */
    const char *host_field;
    /* Raise it when keys() emits other keys than before: they are filled anew on start. */
    int keys_version;
};

/* ---- opening ---- */

struct store_options {
    const char *path;               /* of the database file; ":memory:" for tests */
    const struct kind *const *kinds;    /* all kinds, ends with null */
    bool relaxed;                   /* tests only: no fsync */
    uint64_t changes_kept;          /* revisions that a watch may lag behind; 0: 100,000 */
};

/* Opens, creating or upgrading the tables (a declared column or key that is new is filled from
 * the documents). 0; FAULT with a sentence for the operator (not our file, newer version,
 * damaged); negative errno. */
int store_open(const struct store_options *o, struct store **ret, struct fault *fault);
/* Waits for the writes under way. Watches must be closed before. */
void store_close(struct store *s);
static inline void store_closep(struct store **s)
{
    store_close(*s);
}
/* Copies a consistent state to a new file while in use. */
int store_backup(struct store *s, const char *path);
/* Runs the engine's own check of its files. 0; FAULT with what it found; negative. */
int store_check(struct store *s, struct fault *fault);

/* ---- transactions ---- */

/* Runs the closure in a transaction whose reads are allocated in 'a'. Returns what the closure
 * returned; its writes are durable if that was 0 and dropped otherwise. -ENOMEM when the arena
 * has failed; other negatives when the engine could not commit. */
int store_write(struct store *s, struct arena *a, int (*fn)(struct txn *t, void *arg), void *arg);

/* Begins a read-only transaction on this thread: one at a time per thread, ended soon. */
int store_read(struct store *s, struct arena *a, struct txn **ret);
void txn_done(struct txn *t);
static inline void txn_donep(struct txn **t)
{
    if (*t)
        txn_done(*t);
}

struct arena *txn_arena(struct txn *t);
struct store *txn_store(struct txn *t);
/* The revision of the last commit that this transaction sees. */
uint64_t txn_revision(struct txn *t);

enum { TXN_TAKEN = 2 };     /* txn_put(): another object has this unique key */

/* *ret is null where there is none. Returns 0 or negative. */
int txn_get_(struct txn *t, const struct kind *k, const char *id, void **ret);
#define txn_get(t, kind, id, ret) txn_get_((t), (kind), (id), (void **)(1 ? (ret) : (__typeof__(ret))NULL))

/* The document as it is saved (a JSON object of all stored rows), in the arena; null where there
 * is none. For those who pass it on without looking inside. */
int txn_get_text(struct txn *t, const struct kind *k, const char *id, const char **ret);

/* Writes the object whole, new or not. Fills head.revision at commit only; its 'id' must be set.
 * 0; TXN_TAKEN, with nothing written; negative. */
int txn_put(struct txn *t, const struct kind *k, const void *object);
/* What is not there is deleted already. */
int txn_delete(struct txn *t, const struct kind *k, const char *id);

/* ---- queries ---- */

enum query_op {
    Q_EQ, Q_NE, Q_LT, Q_LE, Q_GT, Q_GE,
    Q_IN, Q_NOT_IN,             /* 'list' */
    Q_CONTAINS, Q_STARTS, Q_ENDS,
    Q_REGEX,                    /* POSIX extended; a bad expression matches nothing */
    Q_NULL, Q_NOT_NULL,         /* null or "" */
    Q_KEY,                      /* 'field' is a key's name: has this value, or one of 'list' */
    Q_NO_KEY,                   /* has none of them */
};

struct condition {
    const char *field;          /* a FILTER or SORT row, or a key's name */
    enum query_op op;
    bool nocase;
    unsigned any;               /* conditions with the same number, not 0, are joined by OR */
    const char *text;           /* the value as text; booleans "true"/"false", times in µs */
    struct strv list;
};

struct sort_key {
    const char *field;
    bool descending;
};

struct query {
    const struct kind *kind;
    VEC_OF(struct condition) where;     /* all must hold */
    VEC_OF(struct sort_key) sort;       /* the id is the last key always */
    const char *marker;                 /* begin after this id; one not there: see query results */
    bool reverse;                       /* the page before the marker, in the same order */
    size_t limit;                       /* 0: no limit */
    size_t offset;
    bool in_order;                      /* most objects match: walk the first sort key's index and stop at the
                                         * limit, rather than gather by the conditions joined by OR and sort */
};

struct results {
    void **v;                           /* objects of the kind */
    size_t n, cap;
    bool more;                          /* the limit cut the list */
    bool marker_lost;                   /* the marker is not there; the list is empty */
};

struct condition *query_where(struct query *q, struct arena *a, const char *field, enum query_op op,
                              const char *text);
bool query_sort(struct query *q, struct arena *a, const char *field, bool descending);

int txn_list(struct txn *t, const struct query *q, struct results *ret);
/* The first one, or null. */
int txn_find_(struct txn *t, const struct query *q, void **ret);
#define txn_find(t, q, ret) txn_find_((t), (q), (void **)(1 ? (ret) : (__typeof__(ret))NULL))
/* Most common of all: the one object with this value in a column or key, or null. */
int txn_find_by_(struct txn *t, const struct kind *k, const char *field, const char *value, void **ret);
#define txn_find_by(t, kind, field, value, ret) \
    txn_find_by_((t), (kind), (field), (value), (void **)(1 ? (ret) : (__typeof__(ret))NULL))
int txn_count(struct txn *t, const struct query *q, uint64_t *ret);
/* Sum of an integer column. */
int txn_sum(struct txn *t, const struct query *q, const char *field, int64_t *ret);

/* ---- changes ---- */

struct change {
    uint64_t revision;
    const struct kind *kind;
    char id[64];
    bool deleted;
    char host[64], host_before[64];     /* of kinds with a host_field; "" for none */
};

struct watch;

/* Begins after 'revision' (0: now). 'kinds' ends with null; null means all. Changes come in
 * order, each object's at least once per commit that touched it (several may be folded into
 * the last). 'wake' may be null; it is called on the writer's thread after each commit that has
 * something for this watch, before store_write() returns to those whose commit it was, and must
 * not block or call the store. */
int watch_open(struct store *s, uint64_t revision, const struct kind *const *kinds, void (*wake)(void *arg),
               void *arg, struct watch **ret);
void watch_close(struct watch *w);

enum { WATCH_LOST = 1 };    /* changes were dropped: list again, go on watching */

/* Takes up to 'max' changes, waiting for the first at most 'timeout' (0: not at all).
 * *ret_n is 0 when the time was up. Returns 0, WATCH_LOST or negative. */
int watch_next(struct watch *w, usec_t timeout, struct change *ret, size_t max, size_t *ret_n);
/* Wakes a waiting watch_next(), which returns with none: for stopping. */
void watch_interrupt(struct watch *w);

/* Whether Q_REGEX takes the pattern: right, and none that could use up memory or time. Whoever compiles
 * what a client wrote asks this first. */
bool regexp_usable(const char *pattern);

#endif
