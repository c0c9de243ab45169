/*
 * Reading requests and documents by their rows.
 *
 * A request is strict: each key must be a row that a client may give in this mode, each value
 * of its type and within its limits, and the error says which key was wrong. Our own documents
 * are lenient: what no row names (an older version wrote it) is dropped.
 */
#include "base/error.h"
#include "base/field.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

struct decoder {
    enum decode_mode mode;
    int minor;
    struct arena *arena;
    struct decode_error *error;
    char path[256];
};

static int problem(struct decoder *d, enum decode_problem what, const struct field *f, const json_t *value,
                   const char *format, ...) _printf_(5, 6);

static int problem(struct decoder *d, enum decode_problem what, const struct field *f, const json_t *value,
                   const char *format, ...)
{
    struct decode_error *e = d->error;
    if (!e)
        return FAULT;
    *e = (struct decode_error){ .problem = what, .field = f };
    memcpy(e->path, d->path, sizeof(e->path));
    if (value && !(f && (f->flags & SECRET))) {
        _cleanup_(buf_done) struct buf b = BUF_MAX((size_t)4 << 20);
        struct json_out o = JSON_OUT(&b);
        json_tree_out(&o, value);
        size_t n = strnlen(buf_text(&b), sizeof(e->value) - 1);
        while (n < b.len && n && ((unsigned char)b.data[n] & 0xc0) == 0x80)
            n--;
        memcpy(e->value, buf_text(&b), n);
    }
    char rest[320];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(rest, sizeof(rest), format, ap);
    va_end(ap);
    (void)snprintf(e->message, sizeof(e->message), "'%.180s' %s", e->path, rest);
    return FAULT;
}

static size_t characters(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static bool blank(const char *s)
{
    return s[strspn(s, " \t\r\n\f\v")] == 0;
}

static const char *type_name(enum field_type t)
{
    switch (t) {
    case FIELD_STRING: return "a string";
    case FIELD_INT: return "an integer";
    case FIELD_DOUBLE: return "a number";
    case FIELD_BOOL:
    case FIELD_TRI: return "a boolean";
    case FIELD_TIME: return "a time in ISO 8601";
    case FIELD_STRINGS: return "a list of strings";
    case FIELD_MAP: return "an object of strings";
    case FIELD_OBJECT: return "an object";
    case FIELD_OBJECTS: return "a list of objects";
    case FIELD_JSON: break;
    }
    return "a JSON value";
}

static int check_string(struct decoder *d, const struct field *f, const json_t *value, const char *s)
{
    if (d->mode == DECODE_STORED)
        return 0;
    if (strlen(json_string_value(value)) != json_string_length(value))
        return problem(d, PROBLEM_FORMAT, f, value, "contains a null character");
    if ((f->flags & NONEMPTY) && blank(s))
        return problem(d, PROBLEM_SHORT, f, value, "must not be empty");
    size_t n = f->min || f->max ? characters(s) : 0;
    if (f->max && (int64_t)n > f->max)
        return problem(d, PROBLEM_LONG, f, value, "is longer than %lld characters", (long long)f->max);
    if (f->min && (int64_t)n < f->min)
        return problem(d, PROBLEM_SHORT, f, value, "is shorter than %lld characters", (long long)f->min);
    if (f->values) {
        size_t i = 0;
        while (f->values[i] && !STREQ(f->values[i], s))
            i++;
        if (!f->values[i]) {
            char list[256] = "";
            size_t at = 0;
            for (i = 0; f->values[i] && at < sizeof(list) - 1; i++)
                at += (size_t)snprintf(list + at, sizeof(list) - at, "%s'%s'", i ? ", " : "", f->values[i]);
            return problem(d, PROBLEM_VALUE, f, value, "is not one of [%s]", list);
        }
    }
    if (f->check) {
        const char *why = f->check(s);
        if (why)
            return problem(d, PROBLEM_FORMAT, f, value, "%s", why);
    }
    return 0;
}

/* 1 true, 0 false, -1 neither. */
static int loose_bool(const char *s)
{
    static const char *const YES[] = { "true", "1", "yes", "on", "t", "y" };
    static const char *const NO[] = { "false", "0", "no", "off", "f", "n" };
    for (size_t i = 0; i < ARRAY_SIZE(YES); i++) {
        if (strcasecmp(s, YES[i]) == 0)
            return 1;
        if (strcasecmp(s, NO[i]) == 0)
            return 0;
    }
    return -1;
}

static bool loose_int(const char *s, int64_t *ret)
{
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 10);
    if (errno || end == s || *end || (*s != '-' && (*s < '0' || *s > '9')))
        return false;
    *ret = n;
    return true;
}

static int decode_object(struct decoder *d, const struct schema *s, const json_t *object, void *out,
                         struct given *given);

static int wrong_type(struct decoder *d, const struct field *f, const json_t *value)
{
    return problem(d, PROBLEM_TYPE, f, value, "must be %s", type_name(f->type));
}

static int check_count(struct decoder *d, const struct field *f, const json_t *value, size_t n)
{
    size_t most = f->items_max ? f->items_max : 1024;
    if (d->mode != DECODE_STORED && n > most)
        return problem(d, PROBLEM_TOO_MANY, f, value, "has more than %zu elements", most);
    return 0;
}

static int decode_int(struct decoder *d, const struct field *f, const json_t *value, int64_t *out)
{
    int64_t n;
    if (json_is_integer(value)) {
        n = json_integer_value(value);
    } else if (!((f->flags & LOOSE) && json_is_string(value) && loose_int(json_string_value(value), &n))) {
        return wrong_type(d, f, value);
    }
    if (d->mode != DECODE_STORED) {
        bool limited = f->min || f->max;
        if (n == INT_NULL || (limited && n < f->min))
            return problem(d, PROBLEM_LOW, f, value, "is less than %lld", (long long)f->min);
        if (limited && f->max > f->min && n > f->max)
            return problem(d, PROBLEM_HIGH, f, value, "is greater than %lld", (long long)f->max);
    }
    *out = n;
    return 0;
}

static int decode_strings(struct decoder *d, const struct field *f, const json_t *value, struct strv *out)
{
    if (!json_is_array(value))
        return wrong_type(d, f, value);
    int r = check_count(d, f, value, json_array_size(value));
    if (r)
        return r;
    struct strv list = { 0 };
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) {
        const char *s = json_string_value(item);
        if (!s)
            return wrong_type(d, f, item);
        r = check_string(d, f, item, s);
        if (r)
            return r;
        if (!strv_add(d->arena, &list, s))
            return -ENOMEM;
    }
    *out = list;
    return 0;
}

static int decode_map(struct decoder *d, const struct field *f, const json_t *value, struct strmap *out)
{
    if (!json_is_object(value))
        return wrong_type(d, f, value);
    int r = check_count(d, f, value, json_object_size(value));
    if (r)
        return r;
    struct strmap map = { 0 };
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)(uintptr_t)value, key, item) {
        const char *s = json_string_value(item);
        if (!s && !(json_is_null(item) && (d->mode == DECODE_STORED || (f->flags & LOOSE))))
            return wrong_type(d, f, value);
        if (s) {
            r = check_string(d, f, item, s);
            if (r)
                return r;
        }
        const char *name = arena_strdup(d->arena, key), *copy = arena_strdup(d->arena, s);
        if (!name || (s && !copy) || !vec_push(d->arena, &map, ((struct pair){ name, copy })))
            return -ENOMEM;
    }
    *out = map;
    return 0;
}

static int decode_objects(struct decoder *d, const struct field *f, const json_t *value, struct vec_any *out)
{
    if (!json_is_array(value))
        return wrong_type(d, f, value);
    int r = check_count(d, f, value, json_array_size(value));
    if (r)
        return r;
    struct vec_any list = { 0 };
    size_t i, n = strlen(d->path);
    json_t *item;
    json_array_foreach(value, i, item) {
        void *slot = vec_grow(d->arena, &list, f->sub->size);
        if (!slot)
            return -ENOMEM;
        (void)snprintf(d->path + n, sizeof(d->path) - n, ".%zu", i);
        if (!json_is_object(item))
            return problem(d, PROBLEM_TYPE, f, item, "must be an object");
        r = decode_object(d, f->sub, item, slot, NULL);
        if (r)
            return r;
        d->path[n] = 0;
    }
    *out = list;
    return 0;
}

static const char *trimmed(struct arena *a, const char *s)
{
    s += strspn(s, " \t\r\n");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    return arena_strndup(a, s, n);
}

static int decode_value(struct decoder *d, const struct field *f, const json_t *value, void *object)
{
    void *at = field_at(f, object);
    if (json_is_null(value)) {
        if (d->mode != DECODE_STORED && !(f->flags & NULLABLE))
            return problem(d, PROBLEM_NULL, f, value, "must be %s, not null", type_name(f->type));
        switch (f->type) {
        case FIELD_STRING: *(const char **)at = NULL; break;
        case FIELD_JSON: *(const char **)at = NULL; break;
        case FIELD_INT: *(int64_t *)at = INT_NULL; break;
        case FIELD_TIME: *(usec_t *)at = 0; break;
        case FIELD_TRI: *(int8_t *)at = TRI_NULL; break;
        case FIELD_BOOL: *(bool *)at = false; break;
        case FIELD_DOUBLE: *(double *)at = 0; break;
        case FIELD_OBJECT: *(void **)at = NULL; break;
        case FIELD_STRINGS:
        case FIELD_MAP:
        case FIELD_OBJECTS: *(struct vec_any *)at = (struct vec_any){ 0 }; break;
        }
        return 0;
    }
    switch (f->type) {
    case FIELD_STRING: {
        const char *s = json_string_value(value);
        if (!s)
            return wrong_type(d, f, value);
        if (f->flags & TRIM && d->mode != DECODE_STORED && !(s = trimmed(d->arena, s)))
            return -ENOMEM;
        int r = check_string(d, f, value, s);
        if (r)
            return r;
        return (*(const char **)at = arena_strdup(d->arena, s)) ? 0 : -ENOMEM;
    }
    case FIELD_INT:
        return decode_int(d, f, value, at);
    case FIELD_DOUBLE:
        if (!json_is_number(value))
            return wrong_type(d, f, value);
        *(double *)at = json_number_value(value);
        return 0;
    case FIELD_BOOL:
    case FIELD_TRI: {
        int b = -1;
        if (json_is_boolean(value))
            b = json_is_true(value);
        else if ((f->flags & LOOSE) && json_is_string(value))
            b = loose_bool(json_string_value(value));
        else if ((f->flags & LOOSE) && json_is_integer(value) && (json_integer_value(value) & ~1) == 0)
            b = (int)json_integer_value(value);
        if (b < 0)
            return wrong_type(d, f, value);
        if (f->type == FIELD_BOOL)
            *(bool *)at = b;
        else
            *(int8_t *)at = b ? TRI_TRUE : TRI_FALSE;
        return 0;
    }
    case FIELD_TIME:
        if (d->mode == DECODE_STORED && json_is_integer(value)) {
            *(usec_t *)at = json_integer_value(value);
            return 0;
        }
        if (!json_is_string(value) || time_parse(json_string_value(value), at) < 0)
            return problem(d, PROBLEM_FORMAT, f, value, "must be a time in ISO 8601");
        return 0;
    case FIELD_STRINGS:
        return decode_strings(d, f, value, at);
    case FIELD_MAP:
        return decode_map(d, f, value, at);
    case FIELD_OBJECT: {
        if (!json_is_object(value))
            return wrong_type(d, f, value);
        void *sub = arena_alloc(d->arena, f->sub->size);
        if (!sub)
            return -ENOMEM;
        int r = decode_object(d, f->sub, value, sub, NULL);
        if (r)
            return r;
        *(void **)at = sub;
        return 0;
    }
    case FIELD_OBJECTS:
        return decode_objects(d, f, value, at);
    case FIELD_JSON:
        return (*(const char **)at = json_text(d->arena, value)) ? 0 : -ENOMEM;
    }
    return -EINVAL;
}

static bool exists_at(const struct field *f, int minor)
{
    return minor == 0 || ((!f->since || minor >= f->since) && (!f->until || minor <= f->until));
}

static int decode_key(struct decoder *d, const struct schema *s, const char *key, const json_t *value, void *out,
                      struct given *given)
{
    const struct field *f = schema_field(s, key);
    if (d->mode == DECODE_STORED)
        return f && !(f->flags & NOT_STORED) ? decode_value(d, f, value, out) : 0;
    uint32_t wanted = d->mode == DECODE_CREATE ? IN_CREATE : IN_UPDATE;
    if (!f || !exists_at(f, d->minor) || !(f->flags & wanted)) {
        if (s->open)
            return 0;
        if (f && exists_at(f, d->minor))
            return problem(d, PROBLEM_READ_ONLY, f, value, "can't be given here");
        return problem(d, PROBLEM_UNKNOWN, NULL, value, "is not known here");
    }
    if (given)
        given_add(given, (size_t)(f - s->fields));
    return decode_value(d, f, value, out);
}

static int decode_object(struct decoder *d, const struct schema *s, const json_t *object, void *out,
                         struct given *given)
{
    struct given seen = { 0 };
    size_t n = strlen(d->path);
    const char *key;
    json_t *value;
    if (d->mode == DECODE_STORED || d->mode == DECODE_CREATE) {
        int r = schema_defaults(s, d->arena, out);
        if (r < 0)
            return r;
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        (void)snprintf(d->path + n, sizeof(d->path) - n, "%s%s", n ? "." : "", key);
        int r = decode_key(d, s, key, value, out, &seen);
        if (r)
            return r;
    }
    if (d->mode == DECODE_CREATE) {
        for (size_t i = 0; i < s->n; i++) {
            const struct field *f = &s->fields[i];
            if (!(f->flags & REQUIRED) || given_has(&seen, i) || !exists_at(f, d->minor))
                continue;
            (void)snprintf(d->path + n, sizeof(d->path) - n, "%s%s", n ? "." : "", f->name);
            return problem(d, PROBLEM_REQUIRED, f, NULL, "is a required property");
        }
    }
    d->path[n] = 0;
    if (given)
        *given = seen;
    return 0;
}

int schema_decode(const struct schema *s, const json_t *object, enum decode_mode mode, int minor, struct arena *a,
                  void *out, struct given *given, struct decode_error *error)
{
    struct decoder d = { .mode = mode, .minor = minor, .arena = a, .error = error };
    assert(s->n <= FIELDS_MAX);
    if (!json_is_object(object))
        return problem(&d, PROBLEM_TYPE, NULL, object, "must be an object");
    int r = decode_object(&d, s, object, out, given);
    return r ? r : arena_failed(a) ? -ENOMEM : 0;
}

int schema_defaults(const struct schema *s, struct arena *a, void *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct field *f = &s->fields[i];
        if (!f->otherwise)
            continue;
        int r = field_decode_text(f, f->otherwise, a, out, NULL);
        assert(r <= 0);         /* a default that its own row refuses is our mistake */
        if (r < 0)
            return r;
    }
    return 0;
}

int field_decode_text(const struct field *f, const char *text, struct arena *a, void *object,
                      struct decode_error *error)
{
    struct decoder d = { .mode = DECODE_CREATE, .arena = a, .error = error };
    (void)snprintf(d.path, sizeof(d.path), "%s", f->name);
    void *at = field_at(f, object);
    int64_t n;
    json_t *value = NULL;
    switch (f->type) {
    case FIELD_STRING:
    case FIELD_TIME:
        value = json_string(text);
        break;
    case FIELD_INT:
        if (STREQ(text, "null")) {
            *(int64_t *)at = INT_NULL;
            return 0;
        }
        if (loose_int(text, &n))
            value = json_integer(n);
        else
            value = json_string(text);
        break;
    case FIELD_DOUBLE: {
        char *end;
        double v = strtod(text, &end);
        value = *text && !*end ? json_real(v) : json_string(text);
        break;
    }
    case FIELD_BOOL:
    case FIELD_TRI: {
        int b = loose_bool(text);
        value = b < 0 ? json_string(text) : json_boolean(b);
        break;
    }
    case FIELD_STRINGS: {
        struct strv l = { 0 };
        if (!strv_split(a, &l, text, ", "))
            return *text && arena_failed(a) ? -ENOMEM : 0;
        value = json_array();
        for (size_t i = 0; value && i < l.n; i++)
            if (json_array_append_new(value, json_string(l.v[i])) < 0)
                return json_decref(value), -ENOMEM;
        break;
    }
    default:
        value = json_loads(text, JSON_DECODE_ANY, NULL);
        if (!value)
            value = json_string(text);
        break;
    }
    if (!value) {
        /* jansson takes UTF-8 only. */
        return problem(&d, PROBLEM_FORMAT, f, NULL, "is not valid UTF-8");
    }
    int r = decode_value(&d, f, value, object);
    json_decref(value);
    return r;
}
