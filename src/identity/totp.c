/*
 * One-time passcodes by the clock (RFC 6238): six digits, every thirty seconds, HMAC-SHA-1 over
 * a secret that a credential of type "totp" holds in base32. The code of the interval before the
 * present one is taken too, for slow fingers.
 */
#include "identity/internal.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define INTERVAL SECONDS(30)

/* Returns the number of bytes, 0 when it is no base32. */
static size_t base32_decode(const char *text, unsigned char *out, size_t size)
{
    size_t n = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (; *text && *text != '='; text++) {
        int c = toupper((unsigned char)*text);
        int d = c >= 'A' && c <= 'Z' ? c - 'A' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
        if (d < 0 || n == size)
            return 0;
        bits = bits << 5 | (uint32_t)d;
        have += 5;
        if (have >= 8) {
            have -= 8;
            out[n++] = (unsigned char)(bits >> have);
            bits &= (1U << have) - 1;
        }
    }
    return n;
}

static bool code_at(const unsigned char *secret, size_t n, usec_t when, char out[7])
{
    unsigned char counter[8], mac[EVP_MAX_MD_SIZE];
    unsigned size;
    uint64_t step = (uint64_t)(when / INTERVAL);
    for (size_t i = 0; i < 8; i++)
        counter[i] = (unsigned char)(step >> 8 * (7 - i));
    if (!HMAC(EVP_sha1(), secret, (int)n, counter, sizeof(counter), mac, &size) || size != 20)
        return false;
    unsigned at = mac[19] & 15;
    uint32_t v = (uint32_t)(mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 | (uint32_t)mac[at + 2] << 8 |
                 mac[at + 3];
    (void)snprintf(out, 7, "%06u", v % 1000000);
    return true;
}

int totp_check(struct txn *t, struct arena *a, const char *user_id, const char *passcode, bool *ret)
{
    struct results l = { 0 };
    struct query q = { .kind = &IDENTITY_CREDENTIAL_KIND };
    *ret = false;
    if (!query_where(&q, a, "user_id", Q_EQ, user_id) || !query_where(&q, a, "type", Q_EQ, "totp"))
        return -ENOMEM;
    int r = txn_list(t, &q, &l);
    for (size_t i = 0; i < l.n && r == 0; i++) {
        unsigned char secret[128];
        char code[7];
        size_t n =
            base32_decode(str_or(((const struct credential *)l.v[i])->blob, ""), secret, sizeof(secret));
        for (int back = 0; n && back < 2; back++)
            if (code_at(secret, n, clock_wall() - back * INTERVAL, code) && strlen(passcode) == 6 &&
                CRYPTO_memcmp(code, passcode, 6) == 0)
                *ret = true;
        explicit_bzero(secret, sizeof(secret));
    }
    return r;
}
