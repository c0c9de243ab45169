/*
 * Sealed tokens: what a token says, encrypted and authenticated, so that nothing is stored.
 *
 * Sealed with AES-256-GCM under the primary key; any key still in the folder opens. Rotation
 * adds a new primary and drops the oldest, so tokens live on while their key does. On the wire:
 *
 *     base64url( version 1 | key number 4 | nonce 12 | ciphertext | tag 16 )
 *
 * The head is authenticated too. The payload is packed: ids of 32 hex digits take 17 bytes.
 */
#ifndef YUNDUO_IDENTITY_TOKEN_SEAL_H
#define YUNDUO_IDENTITY_TOKEN_SEAL_H

#include "base/clock.h"
#include "base/error.h"

enum {
    METHOD_PASSWORD = 1 << 0,
    METHOD_TOKEN = 1 << 1,
    METHOD_APP_CRED = 1 << 2,
    METHOD_TOTP = 1 << 3,
    METHOD_EC2 = 1 << 4, /* rendered as "ec2credential" */
};

enum token_scope { SCOPE_NONE, SCOPE_PROJECT, SCOPE_DOMAIN, SCOPE_SYSTEM };

#define AUDIT_ID_SIZE 23 /* 16 bytes in base64url, and NUL */
#define TOKEN_TEXT_MAX 1024

struct token_payload {
    unsigned methods;
    enum token_scope scope;
    const char *user_id;
    const char *scope_id; /* of a project or domain */
    const char *app_cred_id, *trust_id;
    char audit_id[AUDIT_ID_SIZE];
    char parent_audit_id[AUDIT_ID_SIZE]; /* "" for none */
    usec_t issued_at, expires_at;
};

struct token_keys;

/* Keys of a folder, which gets its first key when it has none. dir null: a key in memory only.
 * -EBADMSG: a file there holds no key. */
int token_keys_open(const char *dir, struct token_keys **ret);
void token_keys_close(struct token_keys *k);
static inline void token_keys_closep(struct token_keys **k)
{
    token_keys_close(*k);
}
/* Looks at the folder again: somebody may have rotated. */
int token_keys_reload(struct token_keys *k);
/* A new primary key; of the older ones the newest 'keep' stay. For the operator's tool too. */
int token_keys_rotate(const char *dir, unsigned keep);

/* As above when the newest key's file is older than this. Keys in memory stay. */
int token_keys_rotate_when_old(struct token_keys *k, usec_t age, unsigned keep);

/* Writes the token's text. */
int token_seal(struct token_keys *k, const struct token_payload *p, char out[TOKEN_TEXT_MAX]);
/* Seals bytes that need not be a payload: for the fuzzer, which could forge none. */
int token_seal_raw(struct token_keys *k, const void *plain, size_t n, char out[TOKEN_TEXT_MAX]);
/* 0; FAULT: not a token of ours (forged, cut, sealed with a key that is gone). Whether it has
 * expired is the caller's to see. */
int token_open(struct token_keys *k, struct arena *a, const char *text, struct token_payload *ret);

void audit_id_new(char out[AUDIT_ID_SIZE]);

/* base64url without padding. 'out' has room for 4/3 of n and 2 bytes. Returns its length. */
size_t base64url_encode(const void *data, size_t n, char *out);
/* Strict: false on any other character, or bits that should be 0. 'out' has room for 3/4 of n. */
bool base64url_decode(const char *text, size_t n, unsigned char *out, size_t *ret_n);

#endif
