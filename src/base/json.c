/* JSON writer and access to parsed trees: see the header. */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

static void before_value(struct json_out *o)
{
    if (o->comma)
        buf_addc(o->buf, ',');
    o->comma = true;
}

void json_open_object(struct json_out *o)
{
    before_value(o);
    buf_addc(o->buf, '{');
    o->comma = false;
}

void json_close_object(struct json_out *o)
{
    buf_addc(o->buf, '}');
    o->comma = true;
}

void json_open_array(struct json_out *o)
{
    before_value(o);
    buf_addc(o->buf, '[');
    o->comma = false;
}

void json_close_array(struct json_out *o)
{
    buf_addc(o->buf, ']');
    o->comma = true;
}

/* Length of the valid UTF-8 sequence at s, or 0 (RFC 3629). */
static size_t utf8_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
            return 0;
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
            return 0;
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if ((s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
            return 0;
        if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

static void add_escaped(struct buf *b, const char *text)
{
    const unsigned char *s = (const unsigned char *)text, *plain = s;
    while (*s) {
        if (*s >= 0x20 && *s < 0x80 && *s != '"' && *s != '\\' && *s != 0x7f) {
            s++;
            continue;
        }
        size_t n = *s >= 0x80 ? utf8_length(s) : 0;
        if (n) {
            s += n;
            continue;
        }
        buf_add(b, plain, (size_t)(s - plain));
        switch (*s) {
        case '"': buf_adds(b, "\\\""); break;
        case '\\': buf_adds(b, "\\\\"); break;
        case '\n': buf_adds(b, "\\n"); break;
        case '\r': buf_adds(b, "\\r"); break;
        case '\t': buf_adds(b, "\\t"); break;
        default:
            if (*s >= 0x80)
                buf_adds(b, "\\ufffd");
            else
                buf_printf(b, "\\u%04x", *s);
        }
        plain = ++s;
    }
    buf_add(b, plain, (size_t)(s - plain));
}

void json_string_out(struct json_out *o, const char *s)
{
    before_value(o);
    if (!s) {
        buf_add(o->buf, "null", 4);
        return;
    }
    buf_addc(o->buf, '"');
    add_escaped(o->buf, s);
    buf_addc(o->buf, '"');
}

void json_key(struct json_out *o, const char *key)
{
    json_string_out(o, key);
    buf_addc(o->buf, ':');
    o->comma = false;
}

void json_int_out(struct json_out *o, int64_t n)
{
    before_value(o);
    char text[24];
    buf_add(o->buf, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)n));
}

void json_double_out(struct json_out *o, double d)
{
    before_value(o);
    if (!isfinite(d)) {
        buf_add(o->buf, "null", 4);
        return;
    }
    /* A double stays recognisable as one: 1.0, not 1. */
    char text[40];
    int n = snprintf(text, sizeof(text), "%.15g", d);
    buf_add(o->buf, text, (size_t)n);
    if (!strpbrk(text, ".eE"))
        buf_add(o->buf, ".0", 2);
}

void json_bool_out(struct json_out *o, bool b)
{
    before_value(o);
    buf_adds(o->buf, b ? "true" : "false");
}

void json_null_out(struct json_out *o)
{
    before_value(o);
    buf_add(o->buf, "null", 4);
}

void json_raw_out(struct json_out *o, const char *text)
{
    before_value(o);
    buf_adds(o->buf, text ? text : "null");
}

static int dump_to_buf(const char *data, size_t n, void *arg)
{
    struct buf *b = arg;
    buf_add(b, data, n);
    return buf_error(b) ? -1 : 0;
}

void json_tree_out(struct json_out *o, const json_t *tree)
{
    before_value(o);
    if (!tree)
        buf_adds(o->buf, "null");
    else if (json_dump_callback(tree, dump_to_buf, o->buf, JSON_COMPACT | JSON_ENCODE_ANY) < 0 && !o->buf->error)
        o->buf->error = -ENOMEM;
}

void json_put_string(struct json_out *o, const char *key, const char *s)
{
    json_key(o, key);
    json_string_out(o, s);
}

void json_put_int(struct json_out *o, const char *key, int64_t n)
{
    json_key(o, key);
    json_int_out(o, n);
}

void json_put_bool(struct json_out *o, const char *key, bool b)
{
    json_key(o, key);
    json_bool_out(o, b);
}

void json_put_null(struct json_out *o, const char *key)
{
    json_key(o, key);
    json_null_out(o);
}

void json_put_raw(struct json_out *o, const char *key, const char *text)
{
    json_key(o, key);
    json_raw_out(o, text);
}

void json_put_strings(struct json_out *o, const char *key, const struct strv *l)
{
    json_put_array(o, key);
    for (size_t i = 0; i < l->n; i++)
        json_string_out(o, l->v[i]);
    json_close_array(o);
}

void json_put_map(struct json_out *o, const char *key, const struct strmap *m)
{
    json_put_object(o, key);
    for (size_t i = 0; i < m->n; i++)
        json_put_string(o, m->v[i].key, m->v[i].value);
    json_close_object(o);
}

void json_put_object(struct json_out *o, const char *key)
{
    json_key(o, key);
    json_open_object(o);
}

void json_put_array(struct json_out *o, const char *key)
{
    json_key(o, key);
    json_open_array(o);
}

/* jansson recurses as deep as the text asks for, up to its own 2048. */
static bool too_deep(const char *text, size_t n)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

json_t *json_parse(const char *text, size_t n, char *error, size_t size)
{
    if (too_deep(text, n)) {
        (void)snprintf(error, size, "nested deeper than %d levels", JSON_DEPTH_MAX);
        return NULL;
    }
    json_error_t e;
    json_t *tree = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!tree)
        (void)snprintf(error, size, "%s (line %d, column %d)", e.text, e.line, e.column);
    return tree;
}

char *json_text(struct arena *a, const json_t *tree)
{
    _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)64 << 20);
    struct json_out o = JSON_OUT(&b);
    json_tree_out(&o, tree);
    if (buf_error(&b)) {
        arena_fail(a);
        return NULL;
    }
    return arena_strdup(a, buf_text(&b));
}

const char *json_get_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int64_t json_get_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

bool json_get_bool(const json_t *object, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

json_t *json_get_object(const json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return json_is_object(v) ? v : NULL;
}

json_t *json_get_array(const json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return json_is_array(v) ? v : NULL;
}
