/* Sealed tokens: they come back whole or not at all; keys rotate, and only ours open. */
#include "identity/token_seal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

static struct token_payload sample(void)
{
    struct token_payload p = {
        .methods = METHOD_PASSWORD | METHOD_TOTP,
        .scope = SCOPE_PROJECT,
        .user_id = "0123456789abcdef0123456789abcdef",
        .scope_id = "fedcba9876543210fedcba9876543210",
        .issued_at = 1800000000000001,
        .expires_at = 1800003600000001,
    };
    audit_id_new(p.audit_id);
    return p;
}

static void comes_back_whole(void **state)
{
    (void)state;
    _cleanup_(token_keys_closep) struct token_keys *k = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char text[TOKEN_TEXT_MAX];
    assert_int_equal(token_keys_open(NULL, &k), 0);
    struct token_payload p = sample(), q;
    p.app_cred_id = "an id of another shape";
    p.trust_id = "00000000000000000000000000000000";
    audit_id_new(p.parent_audit_id);
    assert_int_equal(token_seal(k, &p, text), 0);
    assert_true(strlen(text) < 255);
    assert_int_equal(token_open(k, a, text, &q), 0);
    assert_string_equal(q.user_id, p.user_id);
    assert_string_equal(q.scope_id, p.scope_id);
    assert_string_equal(q.app_cred_id, p.app_cred_id);
    assert_string_equal(q.trust_id, p.trust_id);
    assert_string_equal(q.audit_id, p.audit_id);
    assert_string_equal(q.parent_audit_id, p.parent_audit_id);
    assert_true(q.issued_at == p.issued_at && q.expires_at == p.expires_at);
    assert_true(q.methods == p.methods && q.scope == p.scope);
}

static void scopes_without_an_id(void **state)
{
    (void)state;
    _cleanup_(token_keys_closep) struct token_keys *k = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char text[TOKEN_TEXT_MAX];
    assert_int_equal(token_keys_open(NULL, &k), 0);
    const enum token_scope SCOPES[] = { SCOPE_NONE, SCOPE_SYSTEM };
    for (size_t i = 0; i < ARRAY_SIZE(SCOPES); i++) {
        struct token_payload p = sample(), q;
        p.scope = SCOPES[i];
        p.scope_id = NULL;
        assert_int_equal(token_seal(k, &p, text), 0);
        assert_int_equal(token_open(k, a, text, &q), 0);
        assert_true(q.scope == SCOPES[i]);
        assert_null(q.scope_id);
    }
}

static void no_change_goes_unseen(void **state)
{
    (void)state;
    _cleanup_(token_keys_closep) struct token_keys *k = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char text[TOKEN_TEXT_MAX];
    assert_int_equal(token_keys_open(NULL, &k), 0);
    struct token_payload p = sample(), q;
    assert_int_equal(token_seal(k, &p, text), 0);
    for (size_t i = 0; text[i]; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(token_open(k, a, text, &q), FAULT);
        text[i] = was;
        text[i] = 0; /* cut */
        assert_int_equal(token_open(k, a, text, &q), FAULT);
        text[i] = was;
    }
    assert_int_equal(token_open(k, a, text, &q), 0);
}

static void others_keys_do_not_open(void **state)
{
    (void)state;
    _cleanup_(token_keys_closep) struct token_keys *ours = NULL, *theirs = NULL;
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char text[TOKEN_TEXT_MAX];
    assert_int_equal(token_keys_open(NULL, &ours), 0);
    assert_int_equal(token_keys_open(NULL, &theirs), 0);
    struct token_payload p = sample(), q;
    assert_int_equal(token_seal(theirs, &p, text), 0);
    assert_int_equal(token_open(ours, a, text, &q), FAULT);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    (void)st;
    (void)kind;
    (void)f;
    return remove(path);
}

static void keys_rotate(void **state)
{
    (void)state;
    char dir[] = "/tmp/yunduo-keys-XXXXXX", keys[64], path[128];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(keys, sizeof(keys), "%s/keys", dir);
    _cleanup_(arena_freep) struct arena *a = arena_new(0);
    char first[TOKEN_TEXT_MAX], second[TOKEN_TEXT_MAX];
    struct token_payload p = sample(), q;
    clock_fake(SECONDS(1000));
    {
        _cleanup_(token_keys_closep) struct token_keys *k = NULL, *other = NULL;
        assert_int_equal(token_keys_open(keys, &k), 0);
        assert_int_equal(token_seal(k, &p, first), 0);
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/00000001.key", keys);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(stat(keys, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);

        /* Another process rotates and seals; we have not heard of its key, and look. */
        assert_int_equal(token_keys_rotate(keys, 1), 0);
        assert_int_equal(token_keys_open(keys, &other), 0);
        assert_int_equal(token_seal(other, &p, second), 0);
        assert_int_equal(token_open(k, a, second, &q), 0);
        assert_int_equal(token_open(k, a, first, &q), 0);

        /* The first key goes with the next rotation, and its tokens with it. */
        assert_int_equal(token_keys_rotate(keys, 1), 0);
        assert_int_equal(token_keys_reload(k), 0);
        assert_int_equal(token_open(k, a, second, &q), 0);
        assert_int_equal(token_open(k, a, first, &q), FAULT);
    }
    (void)snprintf(path, sizeof(path), "%s/00000009.key", keys);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("not a key\n", f);
    (void)fclose(f);
    struct token_keys *broken = NULL;
    assert_int_equal(token_keys_open(keys, &broken), -EBADMSG);
    clock_real();
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void base64url_is_strict(void **state)
{
    (void)state;
    unsigned char out[16];
    char text[16];
    size_t n;
    assert_true(base64url_decode("-_8", 3, out, &n) && n == 2 && out[0] == 0xfb && out[1] == 0xff);
    assert_int_equal(base64url_encode(out, 2, text), 3);
    assert_string_equal(text, "-_8");
    assert_false(base64url_decode("-_9", 3, out, &n)); /* bits beyond the end */
    assert_false(base64url_decode("A", 1, out, &n));
    assert_false(base64url_decode("AA==", 4, out, &n));
    assert_false(base64url_decode("A+", 2, out, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_whole),      cmocka_unit_test(scopes_without_an_id),
        cmocka_unit_test(no_change_goes_unseen), cmocka_unit_test(others_keys_do_not_open),
        cmocka_unit_test(keys_rotate),           cmocka_unit_test(base64url_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
