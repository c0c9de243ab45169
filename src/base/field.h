/*
 * One declaration per resource: rows that say what a struct's members are called, which
 * type and limits they have, who may set them, what can be filtered and sorted by.
 *
 * The decoder of requests, the renderer of replies, the documents in the store, the
 * columns of its tables, the filters and sort keys of lists, the configuration file and
 * the messages between control process and host agents all read the same rows.
 *
 *     struct volume { struct object head; const char *name; int64_t size; ... };
 *     static const struct field VOLUME_FIELDS[] = {
 *         FIELD_ID(struct volume),
 *         { "name", FIELD_STRING, offsetof(struct volume, name), IN_CREATE | IN_UPDATE | FILTER,
 *           .max = 255, .doc = "Name for people; need not be unique." },
 *         ...
 *     };
 *     SCHEMA(VOLUME_SCHEMA, struct volume, VOLUME_FIELDS);
 */
#ifndef YUNDUO_BASE_FIELD_H
#define YUNDUO_BASE_FIELD_H

#include "base/clock.h"
#include "base/json.h"
#include "base/vec.h"

enum field_type {
    FIELD_STRING,   /* const char *; null is JSON null; limits are in characters */
    FIELD_INT,      /* int64_t; INT_NULL is JSON null; limits are values */
    FIELD_DOUBLE,   /* double */
    FIELD_BOOL,     /* bool */
    FIELD_TRI,      /* int8_t: TRI_NULL, TRI_FALSE, TRI_TRUE: a bool that may be null */
    FIELD_TIME,     /* usec_t since 1970; 0 is JSON null; text in requests and replies */
    FIELD_STRINGS,  /* struct strv; 'max' is the length of each */
    FIELD_MAP,      /* struct strmap: string to string; 'max' is the length of each value */
    FIELD_OBJECT,   /* pointer to a struct of 'sub'; null is JSON null */
    FIELD_OBJECTS,  /* VEC_OF(struct of 'sub') */
    FIELD_JSON,     /* const char *: the text of any JSON value, kept as it is */
};

#define INT_NULL INT64_MIN
enum { TRI_NULL = 0, TRI_FALSE = -1, TRI_TRUE = 1 };

enum {
    IN_CREATE  = 1 << 0,    /* a client may give it when creating */
    IN_UPDATE  = 1 << 1,    /* and when changing */
    REQUIRED   = 1 << 2,    /* must be given when creating */
    NULLABLE   = 1 << 3,    /* null may be given */
    FILTER     = 1 << 4,    /* lists can be filtered by it (it becomes a column) */
    SORT       = 1 << 5,    /* lists can be sorted by it (it becomes a column) */
    INDEX      = 1 << 6,    /* the column has an index; for FIELD_STRINGS each element */
    HIDDEN     = 1 << 7,    /* stored, never rendered to clients */
    NOT_STORED = 1 << 8,    /* in requests or replies only */
    LOOSE      = 1 << 9,    /* "true", "1", 1 are booleans, "12" is a number */
    OMIT_NULL  = 1 << 10,   /* not rendered while null or empty */
    SECRET     = 1 << 11,   /* hidden, and masked wherever a struct is logged */
    NONEMPTY   = 1 << 12,   /* not "" and not only blanks */
    SORT_NOCASE= 1 << 13,   /* compares without case (names in Keystone) */
    TRIM       = 1 << 14,   /* blanks around it are dropped on the way in */
    ADMIN_SEES = 1 << 15,   /* rendered for administrators only */
    ADMIN_SETS = 1 << 16,   /* only they may give another value than the default */
};

struct schema;

struct field {
    const char *name;               /* key in JSON, column, filter */
    enum field_type type;
    size_t offset;
    uint32_t flags;
    int64_t min, max;               /* both 0: no limits; strings: characters; numbers: values */
    const char *const *values;      /* allowed strings, ends with null; or null */
    const struct schema *sub;       /* FIELD_OBJECT(S) */
    size_t items_max;               /* most elements of a list or map; 0: 1024 */
    /* Further check of a string (each element of a list): null when good, else the rest of a
     * sentence that begins with the field's name, such as "is not a valid CIDR". */
    const char *(*check)(const char *value);
    int16_t since, until;           /* microversion minor from and to which it exists; 0: no end */
    const char *otherwise;          /* default as text, for configuration and creates; or null */
    const char *doc;
};

struct schema {
    const char *name;               /* "volume" */
    size_t size;
    const struct field *fields;
    size_t n;
    bool open;                      /* keys that no row names are ignored in requests */
};

#define SCHEMA(symbol, type, rows) \
    const struct schema symbol = { .name = #symbol, .size = sizeof(type), .fields = (rows), .n = ARRAY_SIZE(rows) }

/* What every stored struct begins with. */
struct object {
    const char *id;
    uint64_t revision;              /* of the last change; set by the store */
};
#define FIELD_ID(type) { "id", FIELD_STRING, offsetof(type, head.id), FILTER | SORT, .doc = "The id." }

/* Which fields a request gave: bit i is row i. */
#define FIELDS_MAX 192
struct given { uint64_t bits[FIELDS_MAX / 64]; };
static inline bool given_has(const struct given *g, size_t i)
{
    return g->bits[i / 64] >> (i % 64) & 1;
}
static inline void given_add(struct given *g, size_t i)
{
    g->bits[i / 64] |= (uint64_t)1 << (i % 64);
}
/* Whether the request gave the member at this offset. */
bool given_member(const struct given *g, const struct schema *s, size_t offset);
#define GIVEN(given, schema, type, member) given_member((given), (schema), offsetof(type, member))

/* A route row that names none gets the strictest. */
enum decode_mode {
    DECODE_CREATE,      /* IN_CREATE rows; REQUIRED ones must be there; defaults are filled in */
    DECODE_UPDATE,      /* IN_UPDATE rows */
    DECODE_STORED,      /* our own document: types are trusted, unknown keys are dropped */
};

enum decode_problem {
    PROBLEM_TYPE, PROBLEM_REQUIRED, PROBLEM_UNKNOWN, PROBLEM_READ_ONLY, PROBLEM_NULL, PROBLEM_SHORT,
    PROBLEM_LONG, PROBLEM_LOW, PROBLEM_HIGH, PROBLEM_VALUE, PROBLEM_FORMAT, PROBLEM_TOO_MANY,
};

/* What was wrong with a request, enough for each service to say it its own way. */
struct decode_error {
    enum decode_problem problem;
    const struct field *field;      /* null for an unknown key */
    char path[256];                 /* "fixed_ips.0.subnet_id" */
    char value[128];                /* what was given, cut, as JSON; empty for secrets */
    char message[512];              /* an English sentence that names the key */
};

/* Reads a JSON object into the struct at 'out' (zeroed by the caller, or holding what is to
 * be changed). Strings are copied into the arena. 'minor' is the microversion (0: ignore).
 * 'given' may be null. Returns 0; FAULT with 'error' filled; negative when broken. */
int schema_decode(const struct schema *s, const json_t *object, enum decode_mode mode, int minor,
                  struct arena *a, void *out, struct given *given, struct decode_error *error);

/* Reads the text of a document that schema_encode() wrote with 'stored' into the zeroed struct at
 * 'out', as schema_decode() does with DECODE_STORED but many times quicker. 0; -EUCLEAN when it
 * is no such document; -ENOMEM. */
int schema_read_document(const struct schema *s, const char *text, size_t n, struct arena *a, void *out);

/* Sets what 'otherwise' says in a zeroed struct. */
int schema_defaults(const struct schema *s, struct arena *a, void *out);

/* Reads one value from text (a query parameter, a configuration line) into its member.
 * As schema_decode(). */
int field_decode_text(const struct field *f, const char *text, struct arena *a, void *object,
                      struct decode_error *error);

struct encode_options {
    bool stored;                    /* the store's document: all rows but NOT_STORED, times as numbers */
    enum time_style time_style;
    int minor;                      /* microversion; 0: all rows */
    const struct given *only;       /* render these rows only; null: all */
    bool admin;                     /* also rows that only administrators see */
};

/* Writes the members of an object, without its braces, so that the caller can add more. */
void schema_encode_members(const struct schema *s, const void *object, const struct encode_options *opt,
                           struct json_out *out);
/* Writes the object with braces. */
void schema_encode(const struct schema *s, const void *object, const struct encode_options *opt,
                   struct json_out *out);
/* Writes one value. */
void field_encode(const struct field *f, const void *object, const struct encode_options *opt,
                  struct json_out *out);

/* The row of that name, or null; and its index. */
const struct field *schema_field(const struct schema *s, const char *name);
/* A deep copy into another arena; null when that has failed. */
void *schema_copy(const struct schema *s, const void *object, struct arena *a);
/* Whether all stored rows are equal. */
bool schema_equal(const struct schema *s, const void *a, const void *b);
/* Copies the given members from one struct to another of the same schema (pointers shared). */
void schema_apply(const struct schema *s, const struct given *given, const void *from, void *to);

/* A check that many rows share: a UUID, dashed or not. */
const char *check_uuid(const char *value);

/* Members by row, for generic code. */
static inline void *field_at(const struct field *f, const void *object)
{
    return (char *)(uintptr_t)object + f->offset;
}

#endif
