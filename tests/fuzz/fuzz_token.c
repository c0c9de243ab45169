/*
 * Opening tokens: whatever text comes in X-Auth-Token must be refused in peace. Every other input
 * is sealed under our key first, so that unpacking is reached, which forged texts never do.
 */
#include "identity/token_seal.h"

#include <openssl/evp.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_keys *keys;
    if (!keys && token_keys_open(NULL, &keys) < 0)
        abort();
    struct arena *a = arena_new(1 << 20);
    char *text = malloc(size + 1);
    struct token_payload p;
    if (!a || !text)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    (void)token_open(keys, a, text, &p);
    char sealed[TOKEN_TEXT_MAX];
    if (size && size <= 400 && token_seal_raw(keys, data, size, sealed) == 0 &&
        token_open(keys, a, sealed, &p) == 0) {
        /* What opened is whole. */
        if (!p.user_id || strlen(p.audit_id) != AUDIT_ID_SIZE - 1 ||
            ((p.scope == SCOPE_PROJECT || p.scope == SCOPE_DOMAIN) && !p.scope_id))
            abort();
    }
    free(text);
    arena_free(a);
    return 0;
}
