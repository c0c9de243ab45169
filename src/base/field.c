/*
 * Rows to JSON and back, the parts that do not read requests: rendering, documents, copies,
 * comparison. Reading stands in field_decode.c.
 */
#include "base/field.h"

const struct field *schema_field(const struct schema *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (STREQ(s->fields[i].name, name))
            return &s->fields[i];
    return NULL;
}

bool given_member(const struct given *g, const struct schema *s, size_t offset)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->fields[i].offset == offset && given_has(g, i))
            return true;
    return false;
}

const char *check_uuid(const char *value)
{
    return uuid_valid(value) ? NULL : "is not a 'uuid'";
}

static bool is_null(const struct field *f, const void *object)
{
    const void *at = field_at(f, object);
    switch (f->type) {
    case FIELD_STRING:
    case FIELD_JSON:
        return *(const char *const *)at == NULL;
    case FIELD_INT:
        return *(const int64_t *)at == INT_NULL;
    case FIELD_TIME:
        return *(const usec_t *)at == 0;
    case FIELD_TRI:
        return *(const int8_t *)at == TRI_NULL;
    case FIELD_OBJECT:
        return *(void *const *)at == NULL;
    case FIELD_STRINGS:
    case FIELD_MAP:
    case FIELD_OBJECTS:
        return ((const struct vec_any *)at)->n == 0;
    case FIELD_DOUBLE:
    case FIELD_BOOL:
        break;
    }
    return false;
}

void field_encode(const struct field *f, const void *object, const struct encode_options *opt, struct json_out *out)
{
    const void *at = field_at(f, object);
    switch (f->type) {
    case FIELD_STRING:
        json_string_out(out, *(const char *const *)at);
        break;
    case FIELD_INT:
        if (*(const int64_t *)at == INT_NULL)
            json_null_out(out);
        else
            json_int_out(out, *(const int64_t *)at);
        break;
    case FIELD_DOUBLE:
        json_double_out(out, *(const double *)at);
        break;
    case FIELD_BOOL:
        json_bool_out(out, *(const bool *)at);
        break;
    case FIELD_TRI:
        if (*(const int8_t *)at == TRI_NULL)
            json_null_out(out);
        else
            json_bool_out(out, *(const int8_t *)at == TRI_TRUE);
        break;
    case FIELD_TIME:
        if (opt->stored) {
            json_int_out(out, *(const usec_t *)at);
        } else if (*(const usec_t *)at == 0) {
            json_null_out(out);
        } else {
            char text[TIME_TEXT_SIZE];
            json_string_out(out, time_format(*(const usec_t *)at, opt->time_style, text));
        }
        break;
    case FIELD_STRINGS: {
        const struct strv *l = at;
        json_open_array(out);
        for (size_t i = 0; i < l->n; i++)
            json_string_out(out, l->v[i]);
        json_close_array(out);
        break;
    }
    case FIELD_MAP: {
        const struct strmap *m = at;
        json_open_object(out);
        for (size_t i = 0; i < m->n; i++)
            json_put_string(out, m->v[i].key, m->v[i].value);
        json_close_object(out);
        break;
    }
    case FIELD_OBJECT: {
        const void *sub = *(void *const *)at;
        if (sub)
            schema_encode(f->sub, sub, opt, out);
        else
            json_null_out(out);
        break;
    }
    case FIELD_OBJECTS: {
        const struct vec_any *l = at;
        json_open_array(out);
        for (size_t i = 0; i < l->n; i++)
            schema_encode(f->sub, (const char *)l->v + i * f->sub->size, opt, out);
        json_close_array(out);
        break;
    }
    case FIELD_JSON:
        json_raw_out(out, *(const char *const *)at);
        break;
    }
}

void schema_encode_members(const struct schema *s, const void *object, const struct encode_options *opt,
                           struct json_out *out)
{
    struct encode_options sub = *opt;
    sub.only = NULL;            /* a choice of rows is for the outermost object */
    for (size_t i = 0; i < s->n; i++) {
        const struct field *f = &s->fields[i];
        if (opt->stored) {
            /* What is null or empty is left out of documents, where absent reads the same. */
            if ((f->flags & NOT_STORED) || (is_null(f, object) && f->type != FIELD_INT && !f->otherwise))
                continue;
        } else {
            if ((f->flags & (HIDDEN | SECRET)) || ((f->flags & ADMIN_SEES) && !opt->admin))
                continue;
            if (opt->only && !given_has(opt->only, i))
                continue;
            if (opt->minor && ((f->since && opt->minor < f->since) || (f->until && opt->minor > f->until)))
                continue;
            if ((f->flags & OMIT_NULL) && is_null(f, object))
                continue;
        }
        json_key(out, f->name);
        field_encode(f, object, &sub, out);
    }
}

void schema_encode(const struct schema *s, const void *object, const struct encode_options *opt, struct json_out *out)
{
    json_open_object(out);
    schema_encode_members(s, object, opt, out);
    json_close_object(out);
}

static bool field_copy(const struct field *f, void *object, struct arena *a)
{
    void *at = field_at(f, object);
    switch (f->type) {
    case FIELD_STRING:
    case FIELD_JSON: {
        const char **s = at;
        if (*s)
            *s = arena_strdup(a, *s);
        break;
    }
    case FIELD_STRINGS: {
        struct strv *l = at, from = *l;
        *l = (struct strv){ 0 };
        for (size_t i = 0; i < from.n; i++)
            strv_add(a, l, from.v[i]);
        break;
    }
    case FIELD_MAP: {
        struct strmap *m = at, from = *m;
        *m = (struct strmap){ 0 };
        for (size_t i = 0; i < from.n; i++)
            strmap_set(a, m, from.v[i].key, from.v[i].value);
        break;
    }
    case FIELD_OBJECT: {
        void **sub = at;
        if (*sub)
            *sub = schema_copy(f->sub, *sub, a);
        break;
    }
    case FIELD_OBJECTS: {
        struct vec_any *l = at, from = *l;
        *l = (struct vec_any){ 0 };
        for (size_t i = 0; i < from.n; i++) {
            void *slot = vec_grow(a, l, f->sub->size);
            void *copy = slot ? schema_copy(f->sub, (char *)from.v + i * f->sub->size, a) : NULL;
            if (copy)
                memcpy(slot, copy, f->sub->size);
        }
        break;
    }
    default:
        break;
    }
    return !arena_failed(a);
}

void *schema_copy(const struct schema *s, const void *object, struct arena *a)
{
    void *copy = arena_memdup(a, object, s->size);
    for (size_t i = 0; copy && i < s->n; i++)
        if (!field_copy(&s->fields[i], copy, a))
            return NULL;
    return copy;
}

bool schema_equal(const struct schema *s, const void *a, const void *b)
{
    struct encode_options opt = { .stored = true };
    _cleanup_(buf_done) struct buf x = BUF_MAX((size_t)64 << 20);
    _cleanup_(buf_done) struct buf y = BUF_MAX((size_t)64 << 20);
    struct json_out ox = JSON_OUT(&x), oy = JSON_OUT(&y);
    schema_encode(s, a, &opt, &ox);
    schema_encode(s, b, &opt, &oy);
    return !buf_error(&x) && !buf_error(&y) && x.len == y.len && memcmp(buf_text(&x), buf_text(&y), x.len) == 0;
}

static size_t member_size(const struct field *f)
{
    switch (f->type) {
    case FIELD_BOOL: return sizeof(bool);
    case FIELD_TRI: return sizeof(int8_t);
    case FIELD_INT: return sizeof(int64_t);
    case FIELD_DOUBLE: return sizeof(double);
    case FIELD_TIME: return sizeof(usec_t);
    case FIELD_STRINGS:
    case FIELD_MAP:
    case FIELD_OBJECTS: return sizeof(struct vec_any);
    case FIELD_STRING:
    case FIELD_OBJECT:
    case FIELD_JSON: break;
    }
    return sizeof(void *);
}

void schema_apply(const struct schema *s, const struct given *given, const void *from, void *to)
{
    for (size_t i = 0; i < s->n; i++)
        if (given_has(given, i))
            memcpy(field_at(&s->fields[i], to), field_at(&s->fields[i], from), member_size(&s->fields[i]));
}
