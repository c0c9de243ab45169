/* Comparing with files beside the test. GOLDEN_UPDATE=1 in the environment writes them anew. */
#ifndef YUNDUO_TESTS_UNIT_HOST_GOLDEN_H
#define YUNDUO_TESTS_UNIT_HOST_GOLDEN_H

#include "host/spec_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static inline char *slurp(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    char *text = calloc(1, 1 << 20);
    size_t n = text ? fread(text, 1, (1 << 20) - 1, f) : 0;
    if (text)
        text[n] = '\0';
    fclose(f);
    return text;
}

static inline void assert_golden(const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s", name);
    if (getenv("GOLDEN_UPDATE")) {
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        fputs(text, f);
        fputc('\n', f);
        fclose(f);
    }
    _cleanup_(freep) char *want = slurp(path);
    assert_non_null(want);
    size_t n = strlen(want);
    if (n && want[n - 1] == '\n')
        want[n - 1] = '\0';
    assert_string_equal(text, want);
}

static inline struct server_spec *spec_load(const char *name, struct arena *a)
{
    char path[512], error[256];
    snprintf(path, sizeof(path), GOLDEN_DIR "/%s.json", name);
    _cleanup_(freep) char *text = slurp(path);
    assert_non_null(text);
    json_t *j = json_parse(text, strlen(text), error, sizeof(error));
    if (!j)
        fail_msg("%s: %s", name, error);
    struct server_spec *s = ARENA_NEW(a, struct server_spec);
    struct decode_error e;
    assert_int_equal(schema_decode(&SERVER_SPEC_SCHEMA, j, DECODE_STORED, 0, a, s, NULL, &e), 0);
    json_decref(j);
    return s;
}

#endif
