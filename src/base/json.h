/*
 * JSON: a writer that appends to a buffer, and careful access to what jansson parsed.
 *
 * Replies are written straight from structs with json_out, never through a tree.
 */
#ifndef YUNDUO_BASE_JSON_H
#define YUNDUO_BASE_JSON_H

#include "base/buf.h"
#include "base/vec.h"

#include <jansson.h>

/* A writer. Commas and escapes are its work; bytes that are not UTF-8 become U+FFFD.
 * Failures stick in the buffer. */
struct json_out {
    struct buf *buf;
    bool comma;
};
#define JSON_OUT(b) ((struct json_out){ .buf = (b) })

void json_open_object(struct json_out *o);
void json_close_object(struct json_out *o);
void json_open_array(struct json_out *o);
void json_close_array(struct json_out *o);
void json_key(struct json_out *o, const char *key);
void json_string_out(struct json_out *o, const char *s);            /* null: null */
void json_int_out(struct json_out *o, int64_t n);
void json_double_out(struct json_out *o, double d);
void json_bool_out(struct json_out *o, bool b);
void json_null_out(struct json_out *o);
/* Ready-made JSON text of one value; null: null. */
void json_raw_out(struct json_out *o, const char *text);
void json_tree_out(struct json_out *o, const json_t *tree);
/* key and value in one */
void json_put_string(struct json_out *o, const char *key, const char *s);
void json_put_int(struct json_out *o, const char *key, int64_t n);
void json_put_bool(struct json_out *o, const char *key, bool b);
void json_put_null(struct json_out *o, const char *key);
void json_put_raw(struct json_out *o, const char *key, const char *text);
void json_put_strings(struct json_out *o, const char *key, const struct strv *l);
void json_put_map(struct json_out *o, const char *key, const struct strmap *m);
/* "key": {  and  "key": [ */
void json_put_object(struct json_out *o, const char *key);
void json_put_array(struct json_out *o, const char *key);

/* For _cleanup_(): jansson itself has json_decrefp(). */

/* Parses at most JSON_DEPTH_MAX deep; duplicate keys are refused. Null with a sentence in
 * 'error' (not null, 'size' bytes) on any fault. */
#define JSON_DEPTH_MAX 64
json_t *json_parse(const char *text, size_t n, char *error, size_t size);
/* Compact text in the arena; null when the arena has failed. */
char *json_text(struct arena *a, const json_t *tree);

/* Members of an object by name; null, or the default, when absent or of another type. */
const char *json_get_string(const json_t *object, const char *key);
int64_t json_get_int(const json_t *object, const char *key, int64_t otherwise);
bool json_get_bool(const json_t *object, const char *key, bool otherwise);
json_t *json_get_object(const json_t *object, const char *key);
json_t *json_get_array(const json_t *object, const char *key);

#endif
