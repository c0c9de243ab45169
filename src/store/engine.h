/*
 * Inside the SQLite engine: what its files share. Nothing above includes this.
 *
 * The file holds one table per kind (id, revision, one typed column per FILTER or SORT row, the
 * document last, so that reading a column never walks the pages of a long document) and four of
 * the engine's own:
 *
 *     meta     (name, value)               format, revision, changes_floor
 *     kinds    (number, name, shape)       what each table was made for; another shape: made anew
 *     keys     (kind, name, value, id, uniq)   what objects are found by beyond their columns
 *     changes  (seq, kind, id, deleted, host, host_before)
 *                                          the last hundred thousand or so, for watches;
 *                                          seq = revision << CHANGE_BITS | place in the closure
 *
 * One thread writes, on the one connection that may write or checkpoint. Readers take a
 * connection from a pool for the time of their transaction: as many exist as ever read at the
 * same moment, not one per thread, for each costs its own copy of the schema.
 */
#ifndef YUNDUO_STORE_ENGINE_H
#define YUNDUO_STORE_ENGINE_H

#include "base/buf.h"
#include "store/store.h"

#define HASH_NONFATAL_OOM 1
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <uthash.h>

#define FORMAT 1
#define APPLICATION_ID 0x79756e64   /* "yund" */
#define CHANGE_BITS 20
#define CHANGES_KEPT 100000         /* revisions, unless the options say otherwise */
#define DOCUMENT_MAX ((size_t)32 << 20)

/* ---- tables.c: a kind as it is stored ---- */

enum value_type { VALUE_NULL, VALUE_TEXT, VALUE_INT, VALUE_REAL };

struct value {
    enum value_type type;
    const char *text;
    int64_t number;
    double real;
};

struct column {
    const char *name;
    const struct field *field;      /* null: id and revision */
    enum value_type type;
    bool nocase;
};

enum fixed { SQL_GET, SQL_PUT, SQL_DELETE, SQL_HOST, SQL_FIXED };

struct table {
    const struct kind *kind;
    int number;                     /* in 'kinds', for good */
    size_t index;                   /* among the declared ones */
    struct column *columns;         /* without id and revision */
    size_t n_columns;
    const struct column *host;      /* of the kind's host_field, or null */
    const struct field **lists;     /* FIELD_STRINGS whose elements are keys */
    size_t n_lists;
    UT_hash_handle hh;              /* by 'kind' */
};

struct key {
    const char *name, *value;
    bool unique;
};

struct key_sink {
    struct arena *arena;
    VEC_OF(struct key) keys;
};

int table_new(const struct kind *k, struct table **ret);
void table_free(struct table *t);
/* The column of that name (id and revision too), or null. */
const struct column *table_column(const struct table *t, const char *name);
bool table_has_list(const struct table *t, const char *name);
bool table_has_keys(const struct table *t);
/* What the table's columns, indexes and keys are, as text to compare. */
void table_shape(const struct table *t, struct buf *out);
void table_create_sql(const struct table *t, struct buf *out);
void table_fixed_sql(const struct table *t, enum fixed which, struct buf *out);
/* Binds the columns of an object from parameter 'at' on. */
int table_bind(const struct table *t, sqlite3_stmt *stmt, int at, const void *object);
/* Sorted, each once. */
int table_keys(const struct table *t, const void *object, struct arena *a, struct key_sink *ret);
/* "name" quoted for SQL */
void sql_name(struct buf *b, const char *name);

/* ---- connection.c: connections and their statements ---- */

enum role { ROLE_WRITER, ROLE_READER };

struct statement;

struct txn {
    struct store *store;
    struct connection *conn;
    struct arena *arena;
    bool writing;
    int broken;                     /* a failure inside a closure: it can't commit any more */
    uint64_t revision;              /* 0: not read yet */
    uint64_t n_changes;             /* of this closure */
};

struct connection {
    struct store *store;
    sqlite3 *db;
    struct statement *statements;   /* by their text, oldest first */
    sqlite3_stmt **fixed;           /* table index * SQL_FIXED + which */
    struct buf sql, document;
    struct txn txn;
    unsigned generation;            /* of the statistics it has read */
    struct connection *next;        /* in the pool */
};

int connection_open(struct store *s, enum role role, struct connection **ret);
void connection_close(struct connection *c);
/* Kept, ready to bind. A statement is used up before its text is asked for again. */
int connection_prepare(struct connection *c, const char *sql, sqlite3_stmt **ret);
int connection_fixed(struct connection *c, const struct table *t, enum fixed which, sqlite3_stmt **ret);
/* Steps once to its end and resets. 0 or negative. */
int statement_run(struct connection *c, sqlite3_stmt *stmt);
/* 1: a row; 0: the end, and it is reset; negative, and it is reset. */
int statement_row(struct connection *c, sqlite3_stmt *stmt);
void statement_done(sqlite3_stmt *stmt);
static inline void statement_donep(sqlite3_stmt **stmt)
{
    statement_done(*stmt);
}
int connection_exec(struct connection *c, const char *sql);
int sqlite_errno(sqlite3 *db, int rc);
int reader_take(struct store *s, struct connection **ret);
void reader_give(struct store *s, struct connection *c);
int regexp_register(sqlite3 *db);

/* ---- store.c, writer.c, watch.c ---- */

struct write;

struct store {
    char *path;
    char *scratch;                  /* folder to remove on close, for ":memory:" */
    bool relaxed;
    uint64_t changes_kept;
    struct table **tables;
    size_t n_tables;
    struct table *by_kind;
    struct table **by_number;
    size_t n_numbers;

    struct connection *writer;
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock;           /* the queue */
    pthread_cond_t wake;
    struct write *first, **last;
    bool stopping;

    pthread_mutex_t pool_lock;
    struct connection *pool;
    size_t n_idle;

    pthread_mutex_t watch_lock;
    struct watch *watches;
    bool *touched;                  /* by table index, of the group under way */
    uint64_t analyzed;              /* revision of the last statistics; the writer's own */
    _Atomic unsigned generation;    /* counts them: connections of older ones are not used again */
    _Atomic uint64_t revision;      /* of the last commit */
    _Atomic uint64_t changes_floor; /* the highest revision whose changes are dropped */
};

const struct table *store_table(const struct store *s, const struct kind *k);
int store_upgrade(struct store *s, struct fault *fault);
int meta_read(struct connection *c, const char *name, int64_t otherwise, int64_t *ret);
int meta_write(struct connection *c, const char *name, int64_t value);
int keys_write(struct connection *c, const struct table *t, const char *id, const struct key_sink *wanted,
               struct arena *a);
int writer_start(struct store *s);
void writer_stop(struct store *s);
/* After a commit, on the writer's thread. */
void watches_wake(struct store *s);

/* An object of a document. Its strings are in the arena. */
int document_decode(const struct table *t, const char *text, size_t n, uint64_t revision, struct arena *a, void **ret);

#endif
