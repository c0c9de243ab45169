/*
 * Passwords: bcrypt through crypt(3), the memory of what was verified lately, and the rules.
 *
 * bcrypt is slow on purpose. A password that was right a moment ago need not pay again: a keyed
 * digest of (whose, hash, password) is kept for some minutes, in memory only, under a key that
 * dies with the process. Since the stored hash goes into the digest, a changed password is never
 * taken from memory. Wrong guesses are not remembered: each pays.
 *
 * A user who does not exist costs the same as one who does: the guess is checked against a hash
 * that nothing matches.
 */
#include "identity/internal.h"

#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <regex.h>
#include <stdio.h>

#define SLOTS 8192
#define WAYS 4

struct verified {
    pthread_mutex_t lock;
    unsigned char key[32];
    EVP_MD *md;
    struct {
        unsigned char digest[16];
        usec_t until;
    } slots[SLOTS];
    char dummy[CRYPT_OUTPUT_SIZE]; /* a hash of nobody's password */
};

static int hash_text(const char *password, int64_t cost, char out[CRYPT_OUTPUT_SIZE]);

int verified_new(struct verified **ret)
{
    struct verified *v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    (void)pthread_mutex_init(&v->lock, NULL);
    random_bytes(v->key, sizeof(v->key));
    v->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!v->md) {
        verified_free(v);
        return -ENOMEM;
    }
    *ret = v;
    return 0;
}

void verified_free(struct verified *v)
{
    if (!v)
        return;
    EVP_MD_free(v->md);
    (void)pthread_mutex_destroy(&v->lock);
    explicit_bzero(v, sizeof(*v));
    free(v);
}

static bool digest_of(struct verified *v, const char *whose, const char *hash, const char *password,
                      unsigned char out[16])
{
    _cleanup_(buf_done) struct buf text = BUF_MAX(1 << 20);
    buf_add(&text, whose, strlen(whose) + 1);
    buf_add(&text, hash, strlen(hash) + 1);
    buf_adds(&text, password);
    unsigned char all[EVP_MAX_MD_SIZE];
    unsigned n;
    bool good = !buf_error(&text) && HMAC(v->md, v->key, sizeof(v->key), (const unsigned char *)text.data,
                                          text.len, all, &n) != NULL;
    if (text.data)
        explicit_bzero(text.data, text.len);
    memcpy(out, all, 16);
    return good;
}

static size_t slot_of(const unsigned char digest[16])
{
    uint32_t n;
    memcpy(&n, digest, sizeof(n));
    return n % (SLOTS / WAYS) * WAYS;
}

static bool remembered(struct verified *v, const unsigned char digest[16], usec_t now)
{
    bool found = false;
    size_t at = slot_of(digest);
    (void)pthread_mutex_lock(&v->lock);
    for (size_t i = at; i < at + WAYS; i++)
        if (v->slots[i].until > now && CRYPTO_memcmp(v->slots[i].digest, digest, 16) == 0)
            found = true;
    (void)pthread_mutex_unlock(&v->lock);
    return found;
}

static void remember(struct verified *v, const unsigned char digest[16], usec_t until)
{
    size_t at = slot_of(digest), oldest = at;
    (void)pthread_mutex_lock(&v->lock);
    for (size_t i = at; i < at + WAYS; i++)
        if (v->slots[i].until < v->slots[oldest].until)
            oldest = i;
    memcpy(v->slots[oldest].digest, digest, 16);
    v->slots[oldest].until = until;
    (void)pthread_mutex_unlock(&v->lock);
}

/* bcrypt sees 72 bytes; of what is longer it gets a digest instead. */
static void shorten(const char *password, char out[73])
{
    size_t n = strlen(password);
    if (n <= 72) {
        memcpy(out, password, n + 1);
        return;
    }
    unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
    (void)EVP_Digest(password, n, digest, NULL, EVP_sha256(), NULL);
    base64url_encode(digest, 32, out);
}

static int crypt_text(const char *password, const char *setting, char out[CRYPT_OUTPUT_SIZE])
{
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (!data)
        return -ENOMEM;
    char phrase[73];
    shorten(password, phrase);
    const char *text = crypt_r(phrase, setting, data);
    int r = !text || text[0] == '*' ? -EINVAL : 0;
    if (r == 0)
        (void)snprintf(out, CRYPT_OUTPUT_SIZE, "%s", text);
    explicit_bzero(phrase, sizeof(phrase));
    explicit_bzero(data, sizeof(*data));
    free(data);
    return r;
}

static int hash_text(const char *password, int64_t cost, char out[CRYPT_OUTPUT_SIZE])
{
    char salt[16], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    random_bytes(salt, sizeof(salt));
    if (!crypt_gensalt_rn("$2b$", (unsigned long)cost, salt, sizeof(salt), setting, sizeof(setting)))
        return errno ? -errno : -EINVAL;
    return crypt_text(password, setting, out);
}

int password_hash(struct identity *id, struct arena *a, const char *password, const char **ret)
{
    char text[CRYPT_OUTPUT_SIZE];
    int r = hash_text(password, id->config->bcrypt_cost, text);
    if (r < 0)
        return error_trace(r);
    *ret = arena_strdup(a, text);
    return *ret ? 0 : -ENOMEM;
}

static int dummy_hash(struct identity *id, char out[CRYPT_OUTPUT_SIZE])
{
    struct verified *v = id->verified;
    (void)pthread_mutex_lock(&v->lock);
    memcpy(out, v->dummy, CRYPT_OUTPUT_SIZE);
    (void)pthread_mutex_unlock(&v->lock);
    if (out[0])
        return 0;
    char password[AUDIT_ID_SIZE];
    audit_id_new(password);
    int r = hash_text(password, id->config->bcrypt_cost, out);
    if (r == 0) {
        (void)pthread_mutex_lock(&v->lock);
        memcpy(v->dummy, out, CRYPT_OUTPUT_SIZE);
        (void)pthread_mutex_unlock(&v->lock);
    }
    return r;
}

int password_check(struct identity *id, const char *whose, const char *hash, const char *password, bool *ret)
{
    char dummy[CRYPT_OUTPUT_SIZE], text[CRYPT_OUTPUT_SIZE];
    unsigned char digest[16];
    usec_t now = clock_mono();
    bool known = hash != NULL;
    *ret = false;
    if (!known) {
        int r = dummy_hash(id, dummy);
        if (r < 0)
            return r;
        hash = dummy;
    }
    if (!digest_of(id->verified, str_or(whose, ""), hash, password, digest))
        return -ENOMEM;
    if (known && remembered(id->verified, digest, now)) {
        *ret = true;
        return 0;
    }
    int r = crypt_text(password, hash, text);
    if (r < 0)
        return error_trace(r);
    size_t n = strlen(hash);
    bool equal = strlen(text) == n && CRYPTO_memcmp(text, hash, n) == 0;
    *ret = known && equal;
    if (*ret && id->config->password_remember_seconds > 0)
        remember(id->verified, digest, now + SECONDS(id->config->password_remember_seconds));
    return 0;
}

int password_rules(struct call *c, const char *password)
{
    const struct cloud_config *k = call_identity(c)->config;
    if (strlen(password) > 4096)
        return call_fault(
            c, 400, "PasswordValidationError",
            "Password validation error: The password length must be less than or equal to 4096.");
    if (str_empty(k->password_regex))
        return 0;
    regex_t re;
    if (regcomp(&re, k->password_regex, REG_EXTENDED | REG_NOSUB) != 0)
        return -EINVAL;
    bool fits = regexec(&re, password, 0, NULL, 0) == 0;
    regfree(&re);
    if (fits)
        return 0;
    return call_fault(c, 400, "PasswordRequirementsValidationError",
                      "The password does not match the requirements: %s.",
                      str_or(k->password_regex_description, "it is too simple"));
}

int password_used_before(struct identity *id, const struct user *u, const char *password, bool *ret)
{
    *ret = false;
    /* The present one counts as the first of them. */
    int64_t keep = id->config->password_history;
    char text[CRYPT_OUTPUT_SIZE];
    for (int64_t i = 0; i < keep && !*ret; i++) {
        const char *hash = i == 0                   ? u->password_hash
                           : (size_t)i <= u->past.n ? u->past.v[u->past.n - (size_t)i].hash
                                                    : NULL;
        if (!hash)
            continue;
        int r = crypt_text(password, hash, text);
        if (r < 0)
            return r;
        *ret = STREQ(text, hash);
    }
    return 0;
}

void password_set(struct identity *id, struct arena *a, struct user *u, const char *hash, bool by_admin)
{
    usec_t now = clock_wall();
    size_t keep = id->config->password_history > 1 ? (size_t)id->config->password_history - 1 : 0;
    __typeof__(u->past) past = { 0 };
    if (keep) {
        VEC_FOREACH (p, &u->past)
            (void)vec_push(a, &past, *p);
        if (u->password_hash)
            (void)vec_push(a, &past, ((struct past_password){ u->password_hash, u->password_created_at }));
        while (past.n > keep)
            vec_remove(&past, 0);
    }
    memcpy(&u->past, &past, sizeof(past));
    u->password_hash = hash;
    u->password_created_at = now;
    u->password_by_admin = by_admin;
    u->password_expires_at =
        hash && id->config->password_expires_days > 0 && !option_true(u->options, "ignore_password_expiry")
            ? now + DAYS(id->config->password_expires_days)
            : 0;
    u->valid_from = now;
}
