/*
 * Reading the store's own documents, quickly.
 *
 * What schema_encode() wrote with 'stored' is read back far more often than anything else is
 * parsed, so it goes straight from text to struct: no tree, and no string is copied by itself.
 * The text is copied into the arena once; strings are unescaped where they stand and ended with
 * a NUL in place of their closing quote. Keys come in the order of the rows, so the next row is
 * nearly always the right one.
 *
 * The reader trusts no byte of it all the same: the file may be damaged. The copy ends with a
 * NUL, which no branch steps over, and what rows do not describe is skipped without recursion.
 */
#include "base/field.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>

LOG_MODULE("document");

struct reader {
    char *at;
    char *end_raw;          /* where the NUL of a FIELD_JSON goes when what follows is read */
    struct arena *arena;
};

static void blanks(struct reader *d)
{
    while (*d->at == ' ' || *d->at == '\n' || *d->at == '\t' || *d->at == '\r')
        d->at++;
}

static bool take(struct reader *d, char c)
{
    blanks(d);
    if (*d->at != c)
        return false;
    d->at++;
    return true;
}

static bool take_word(struct reader *d, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(d->at, word, n) != 0)
        return false;
    d->at += n;
    return true;
}

static int hex4(const char *s)
{
    int n = 0;
    for (int i = 0; i < 4; i++) {
        if (!isxdigit((unsigned char)s[i]))
            return -1;
        n = n * 16 + (s[i] <= '9' ? s[i] - '0' : (s[i] | 32) - 'a' + 10);
    }
    return n;
}

static char *put_utf8(char *out, int c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

/* \uXXXX at s (past the 'u'); *s moves behind it. -1 when it is wrong. */
static int code_point(char **s)
{
    int c = hex4(*s);
    if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff))
        return -1;
    *s += 4;
    if (c < 0xd800 || c > 0xdbff)
        return c;
    if ((*s)[0] != '\\' || (*s)[1] != 'u')
        return -1;
    int low = hex4(*s + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return -1;
    *s += 6;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

static char *escape(struct reader *d, char *s, char *out)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    char c = *s++;
    if (c == 'u') {
        int point = code_point(&s);
        if (point < 0)
            return NULL;
        d->at = s;
        return put_utf8(out, point);
    }
    const char *known = c ? strchr(FROM, c) : NULL;
    if (!known)
        return NULL;
    d->at = s;
    *out++ = TO[known - FROM];
    return out;
}

/* At a quote. The string, NUL-terminated where it stands, or null. */
static char *string(struct reader *d)
{
    if (!take(d, '"'))
        return NULL;
    char *begin = d->at, *s = begin + strcspn(begin, "\"\\");
    if (*s == '"') {
        *s = 0;
        d->at = s + 1;
        return begin;
    }
    char *out = s;
    while (*s != '"') {
        if (!*s)
            return NULL;
        if (*s != '\\') {
            *out++ = *s++;
            continue;
        }
        out = escape(d, s + 1, out);
        if (!out)
            return NULL;
        s = d->at;
    }
    *out = 0;
    d->at = s + 1;
    return begin;
}

static bool skip_string(struct reader *d)
{
    char *s = d->at + 1;
    for (; *s && *s != '"'; s++)
        if (*s == '\\' && s[1])
            s++;
    d->at = s + (*s != 0);
    return *s == '"';
}

/* Passes over any value. It is not checked in all detail: braces and strings must fit. */
static bool skip(struct reader *d)
{
    int depth = 0;
    do {
        blanks(d);
        switch (*d->at) {
        case 0:
            return false;
        case '"':
            if (!skip_string(d))
                return false;
            break;
        case '{':
        case '[':
            depth++;
            d->at++;
            break;
        case '}':
        case ']':
            if (--depth < 0)
                return false;
            d->at++;
            break;
        case ',':
        case ':':
            if (depth == 0)
                return false;
            d->at++;
            break;
        default: {
            size_t n = strspn(d->at, "+-.0123456789eEtrufalsn");
            if (n == 0)
                return false;
            d->at += n;
        }
        }
    } while (depth > 0);
    return true;
}

static bool integer(struct reader *d, int64_t *ret)
{
    char *s = d->at;
    bool negative = *s == '-';
    s += negative;
    if (!isdigit((unsigned char)*s))
        return false;
    uint64_t n = 0;
    for (; isdigit((unsigned char)*s); s++)
        if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n))
            return false;
    if (*s == '.' || *s == 'e' || *s == 'E' || n > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - n) : (int64_t)n;
    d->at = s;
    return true;
}

static bool object(struct reader *d, const struct schema *s, void *out);

static bool strings(struct reader *d, struct strv *out)
{
    *out = (struct strv){ 0 };
    if (!take(d, '['))
        return false;
    if (take(d, ']'))
        return true;
    do {
        const char *text = string(d);
        if (!text || !vec_push(d->arena, out, text))
            return false;
    } while (take(d, ','));
    return take(d, ']');
}

static bool map(struct reader *d, struct strmap *out)
{
    *out = (struct strmap){ 0 };
    if (!take(d, '{'))
        return false;
    if (take(d, '}'))
        return true;
    do {
        struct pair p = { .key = string(d) };
        if (!p.key || !take(d, ':'))
            return false;
        blanks(d);
        if (!take_word(d, "null") && !(p.value = string(d)))
            return false;
        if (!vec_push(d->arena, out, p))
            return false;
    } while (take(d, ','));
    return take(d, '}');
}

static bool objects(struct reader *d, const struct schema *s, struct vec_any *out)
{
    *out = (struct vec_any){ 0 };
    if (!take(d, '['))
        return false;
    if (take(d, ']'))
        return true;
    do {
        void *slot = vec_grow(d->arena, out, s->size);
        if (!slot || !object(d, s, slot))
            return false;
    } while (take(d, ','));
    return take(d, ']');
}

static void set_null(const struct field *f, void *at)
{
    switch (f->type) {
    case FIELD_STRING:
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
}

static bool value(struct reader *d, const struct field *f, void *at)
{
    blanks(d);
    if (*d->at == 'n' && take_word(d, "null")) {
        set_null(f, at);
        return true;
    }
    switch (f->type) {
    case FIELD_STRING:
        return (*(const char **)at = string(d)) != NULL;
    case FIELD_INT:
        return integer(d, at);
    case FIELD_TIME:
        if (*d->at == '"') {
            const char *text = string(d);
            return text && time_parse(text, at) == 0;
        }
        return integer(d, at);
    case FIELD_DOUBLE: {
        char *end;
        *(double *)at = strtod(d->at, &end);
        bool good = end != d->at;
        d->at = end;
        return good;
    }
    case FIELD_BOOL:
    case FIELD_TRI: {
        bool yes = take_word(d, "true");
        if (!yes && !take_word(d, "false"))
            return false;
        if (f->type == FIELD_BOOL)
            *(bool *)at = yes;
        else
            *(int8_t *)at = yes ? TRI_TRUE : TRI_FALSE;
        return true;
    }
    case FIELD_STRINGS:
        return strings(d, at);
    case FIELD_MAP:
        return map(d, at);
    case FIELD_OBJECT: {
        void *sub = arena_alloc(d->arena, f->sub->size);
        *(void **)at = sub;
        return sub && object(d, f->sub, sub);
    }
    case FIELD_OBJECTS:
        return objects(d, f->sub, at);
    case FIELD_JSON:
        *(const char **)at = d->at;
        if (!skip(d))
            return false;
        d->end_raw = d->at;
        return true;
    }
    return false;
}

/* The row of this name, looked for from *next on, around the end. */
static const struct field *row(const struct schema *s, const char *name, size_t *next)
{
    for (size_t i = 0, at = *next; i < s->n; i++, at++) {
        if (at >= s->n)
            at = 0;
        if (STREQ(s->fields[at].name, name)) {
            *next = at + 1;
            return &s->fields[at];
        }
    }
    return NULL;
}

static bool members(struct reader *d, const struct schema *s, void *out, struct given *seen)
{
    size_t next = 0;
    if (!take(d, '{'))
        return false;
    if (take(d, '}'))
        return true;
    for (;;) {
        const char *key = string(d);
        if (!key || !take(d, ':'))
            return false;
        const struct field *f = row(s, key, &next);
        bool known = f && !(f->flags & NOT_STORED);
        if (known)
            given_add(seen, (size_t)(f - s->fields));
        if (known ? !value(d, f, field_at(f, out)) : !skip(d)) {
            log_debug("a value does not fit", KV("key", key));
            return false;
        }
        blanks(d);
        char c = *d->at;
        if (d->end_raw) {
            *d->end_raw = 0;
            d->end_raw = NULL;
        }
        if (c != ',' && c != '}')
            return false;
        d->at++;
        if (c == '}')
            return true;
    }
}

static bool object(struct reader *d, const struct schema *s, void *out)
{
    struct given seen = { 0 };
    if (!members(d, s, out, &seen))
        return false;
    /* Rows that are newer than the document. */
    for (size_t i = 0; i < s->n; i++)
        if (s->fields[i].otherwise && !given_has(&seen, i) &&
            field_decode_text(&s->fields[i], s->fields[i].otherwise, d->arena, out, NULL) != 0)
            return false;
    return true;
}

int schema_read_document(const struct schema *s, const char *text, size_t n, struct arena *a, void *out)
{
    struct reader d = { .arena = a };
    assert(s->n <= FIELDS_MAX);
    d.at = arena_strndup(a, text, n);
    if (!d.at)
        return -ENOMEM;
    bool good = object(&d, s, out);
    if (arena_failed(a))
        return -ENOMEM;
    blanks(&d);
    return good && *d.at == 0 ? 0 : -EUCLEAN;
}
