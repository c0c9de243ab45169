/*
 * The function behind Q_REGEX: regexp_match(pattern, text, nocase), POSIX extended.
 *
 * A tenant wrote the pattern. What makes regcomp() or regexec() of the C library take memory or
 * time without bound is refused like a bad expression, which matches nothing: back references,
 * long patterns, more than two counted repetitions or counts above 99.
 */
#include "store/engine.h"

#include <ctype.h>
#include <regex.h>

/* Counted repetitions are written out: so many pieces may come of them. */
enum { PIECES_MAX = 32768 };

static bool modest(const char *p)
{
    size_t pieces = strlen(p);
    if (pieces > 255)
        return false;
    int braces = 0;
    for (; *p; p++) {
        if (*p == '\\') {
            if (isdigit((unsigned char)p[1]))
                return false;
            p += p[1] != 0;
        } else if (*p == '{') {
            int digits = 0;
            if (++braces > 2)
                return false;
            size_t count = 0, most = 1;
            for (const char *d = p + 1; isdigit((unsigned char)*d) || *d == ','; d++) {
                digits = *d == ',' ? 0 : digits + 1;
                if (digits > 2)
                    return false;
                count = *d == ',' ? 0 : count * 10 + (size_t)(*d - '0');
                most = MAX(most, count);
            }
            pieces *= most;
            if (pieces > PIECES_MAX)
                return false;
        }
    }
    return true;
}

bool regexp_usable(const char *source)
{
    regex_t regex;
    if (!modest(source) || regcomp(&regex, source, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    regfree(&regex);
    return true;
}

struct pattern {
    bool good;
    regex_t regex;
};

static void pattern_free(void *arg)
{
    struct pattern *p = arg;
    if (p->good)
        regfree(&p->regex);
    free(p);
}

static void regexp_match(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    (void)n;
    const char *text = (const char *)sqlite3_value_text(v[1]);
    struct pattern *p = sqlite3_get_auxdata(ctx, 0);
    if (!p) {
        const char *source = (const char *)sqlite3_value_text(v[0]);
        p = calloc(1, sizeof(*p));
        if (!p) {
            sqlite3_result_error_nomem(ctx);
            return;
        }
        int flags = REG_EXTENDED | REG_NOSUB | (sqlite3_value_int(v[2]) ? REG_ICASE : 0);
        p->good = source && modest(source) && regcomp(&p->regex, source, flags) == 0;
        sqlite3_set_auxdata(ctx, 0, p, pattern_free);
        p = sqlite3_get_auxdata(ctx, 0);
        if (!p) {
            sqlite3_result_error_nomem(ctx);
            return;
        }
    }
    sqlite3_result_int(ctx, p->good && text && regexec(&p->regex, text, 0, NULL, 0) == 0);
}

int regexp_register(sqlite3 *db)
{
    return sqlite3_create_function_v2(db, "regexp_match", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, regexp_match,
                                      NULL, NULL, NULL);
}
