/*
 * Sealing and opening tokens, and the folder of keys.
 *
 * A key file is named by its number, "00000007.key", mode 0600, 64 hex digits. The highest
 * number is the primary. A token names its key's number, so opening tries one key. A number that
 * isn't known makes us look at the folder again, at most once a second: forged tokens must not
 * make us read the disk all day.
 */
#include "identity/token_seal.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#define KEYS_MAX 16
#define TOKEN_VERSION 1
#define HEAD_SIZE 5
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define PAYLOAD_MAX 512

struct token_key {
    uint32_t number;
    unsigned char bytes[32];
};

struct token_keys {
    pthread_rwlock_t lock;
    char *dir;
    struct token_key keys[KEYS_MAX]; /* by number; the last one is primary */
    unsigned n;
    usec_t looked_at; /* monotonic */
    EVP_CIPHER *cipher;
};

/* ---- base64url ---- */

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_encode(const void *data, size_t n, char *out)
{
    const unsigned char *p = data;
    char *o = out;
    for (; n >= 3; n -= 3, p += 3) {
        *o++ = DIGITS[p[0] >> 2];
        *o++ = DIGITS[(p[0] & 3) << 4 | p[1] >> 4];
        *o++ = DIGITS[(p[1] & 15) << 2 | p[2] >> 6];
        *o++ = DIGITS[p[2] & 63];
    }
    if (n) {
        *o++ = DIGITS[p[0] >> 2];
        *o++ = DIGITS[(p[0] & 3) << 4 | (n > 1 ? p[1] >> 4 : 0)];
        if (n > 1)
            *o++ = DIGITS[(p[1] & 15) << 2];
    }
    *o = 0;
    return (size_t)(o - out);
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_decode(const char *text, size_t n, unsigned char *out, size_t *ret_n)
{
    size_t made = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    if (n % 4 == 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        int d = digit(text[i]);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[made++] = (unsigned char)(bits >> have);
            bits &= (1U << have) - 1;
        }
    }
    *ret_n = made;
    return bits == 0;
}

void audit_id_new(char out[AUDIT_ID_SIZE])
{
    unsigned char id[16];
    random_bytes(id, sizeof(id));
    base64url_encode(id, sizeof(id), out);
}

/* ---- the folder ---- */

static int key_read(const char *dir, const char *name, unsigned char out[32])
{
    char path[4096], text[65];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    if (read(fd, text, 64) != 64)
        return -EBADMSG;
    text[64] = 0;
    for (size_t i = 0; i < 32; i++) {
        char pair[3] = { text[2 * i], text[2 * i + 1], 0 }, *end;
        out[i] = (unsigned char)strtoul(pair, &end, 16);
        if (*end || end != pair + 2)
            return -EBADMSG;
    }
    explicit_bzero(text, sizeof(text));
    return 0;
}

static int key_compare(const void *a, const void *b)
{
    const struct token_key *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The newest KEYS_MAX keys. */
static int keys_list(const char *dir, struct token_key *out, unsigned *ret_n)
{
    DIR *d = opendir(dir);
    if (!d)
        return -errno;
    unsigned n = 0;
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(d));) {
        unsigned number;
        int end = 0;
        if (sscanf(e->d_name, "%8u.key%n", &number, &end) != 1 || !end || e->d_name[end])
            continue;
        struct token_key key = { .number = number };
        r = key_read(dir, e->d_name, key.bytes);
        if (r == -ENOENT) { /* another process has just dropped it */
            r = 0;
            continue;
        }
        if (n == KEYS_MAX) {
            qsort(out, n, sizeof(*out), key_compare);
            memmove(out, out + 1, --n * sizeof(*out));
        }
        out[n++] = key;
        explicit_bzero(&key, sizeof(key));
    }
    (void)closedir(d);
    qsort(out, n, sizeof(*out), key_compare);
    *ret_n = n;
    return r;
}

static int key_write(const char *dir, uint32_t number)
{
    unsigned char bytes[32];
    char text[66], path[4096], temporary[4096];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    text[64] = '\n';
    (void)snprintf(path, sizeof(path), "%s/%08u.key", dir, number);
    (void)snprintf(temporary, sizeof(temporary), "%s/.%08u.%d.new", dir, number, (int)getpid());
    int r = 0;
    {
        _cleanup_(closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        if (write(fd, text, 65) != 65 || fsync(fd) < 0)
            r = errno ? -errno : -EIO;
    }
    /* link, not rename: two who rotate at once must not overwrite one another's key */
    if (r == 0 && link(temporary, path) < 0)
        r = -errno;
    (void)unlink(temporary);
    explicit_bzero(bytes, sizeof(bytes));
    explicit_bzero(text, sizeof(text));
    return r;
}

int token_keys_rotate(const char *dir, unsigned keep)
{
    struct token_key keys[KEYS_MAX];
    unsigned n = 0;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    int r = keys_list(dir, keys, &n);
    if (r == 0)
        r = key_write(dir, n ? keys[n - 1].number + 1 : 1);
    for (unsigned i = 0; r == 0 && i + keep < n; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%08u.key", dir, keys[i].number);
        if (unlink(path) < 0 && errno != ENOENT)
            r = -errno;
    }
    explicit_bzero(keys, sizeof(keys));
    return r;
}

int token_keys_reload(struct token_keys *k)
{
    if (!k->dir)
        return 0;
    struct token_key keys[KEYS_MAX];
    unsigned n = 0;
    int r = keys_list(k->dir, keys, &n);
    if (r == 0 && n > 0) {
        (void)pthread_rwlock_wrlock(&k->lock);
        memcpy(k->keys, keys, sizeof(keys));
        k->n = n;
        (void)pthread_rwlock_unlock(&k->lock);
    }
    explicit_bzero(keys, sizeof(keys));
    return r < 0 ? r : n ? 0 : -ENOENT;
}

int token_keys_rotate_when_old(struct token_keys *k, usec_t age, unsigned keep)
{
    if (!k->dir)
        return 0;
    char path[4096];
    (void)pthread_rwlock_rdlock(&k->lock);
    (void)snprintf(path, sizeof(path), "%s/%08u.key", k->dir, k->keys[k->n - 1].number);
    (void)pthread_rwlock_unlock(&k->lock);
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT ? token_keys_reload(k) : -errno;
    if (clock_wall() - SECONDS(st.st_mtime) < age)
        return 0;
    int r = token_keys_rotate(k->dir, keep);
    return r < 0 && r != -EEXIST ? r : token_keys_reload(k);
}

int token_keys_open(const char *dir, struct token_keys **ret)
{
    _cleanup_(token_keys_closep) struct token_keys *k = calloc(1, sizeof(*k));
    if (!k)
        return -ENOMEM;
    (void)pthread_rwlock_init(&k->lock, NULL);
    k->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!k->cipher)
        return -ENOMEM;
    if (!dir) {
        k->n = 1;
        k->keys[0].number = 1;
        random_bytes(k->keys[0].bytes, sizeof(k->keys[0].bytes));
    } else {
        k->dir = strdup(dir);
        if (!k->dir)
            return -ENOMEM;
        int r = token_keys_reload(k);
        if (r == -ENOENT) {
            r = token_keys_rotate(dir, KEYS_MAX);
            if (r == 0 || r == -EEXIST)
                r = token_keys_reload(k);
        }
        if (r < 0)
            return r;
    }
    *ret = TAKE_PTR(k);
    return 0;
}

void token_keys_close(struct token_keys *k)
{
    if (!k)
        return;
    EVP_CIPHER_free(k->cipher);
    (void)pthread_rwlock_destroy(&k->lock);
    explicit_bzero(k->keys, sizeof(k->keys));
    free(k->dir);
    free(k);
}

/* False when there is none (number 0: the primary). */
static bool key_find(struct token_keys *k, uint32_t number, struct token_key *ret)
{
    bool found = false;
    (void)pthread_rwlock_rdlock(&k->lock);
    for (unsigned i = k->n; i-- > 0 && !found;) {
        if (number == 0 || k->keys[i].number == number) {
            *ret = k->keys[i];
            found = true;
        }
    }
    (void)pthread_rwlock_unlock(&k->lock);
    return found;
}

static bool key_find_or_look(struct token_keys *k, uint32_t number, struct token_key *ret)
{
    if (key_find(k, number, ret))
        return true;
    if (!k->dir)
        return false;
    usec_t now = clock_mono();
    (void)pthread_rwlock_wrlock(&k->lock);
    bool look = now - k->looked_at >= SECONDS(1) || k->looked_at == 0;
    if (look)
        k->looked_at = now;
    (void)pthread_rwlock_unlock(&k->lock);
    return look && token_keys_reload(k) == 0 && key_find(k, number, ret);
}

/* ---- packing ---- */

struct pack {
    unsigned char *at, *end;
    bool bad;
};

static void put(struct pack *p, const void *data, size_t n)
{
    if (p->bad || (size_t)(p->end - p->at) < n) {
        p->bad = true;
        return;
    }
    memcpy(p->at, data, n);
    p->at += n;
}

static void put_number(struct pack *p, uint64_t v, size_t bytes)
{
    unsigned char b[8];
    for (size_t i = 0; i < bytes; i++)
        b[i] = (unsigned char)(v >> 8 * (bytes - 1 - i));
    put(p, b, bytes);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length in one byte and the text; 255: 16 bytes of a plain hex id. */
static void put_id(struct pack *p, const char *id)
{
    size_t n = strlen(id);
    unsigned char raw[16];
    bool hex = n == 32;
    for (size_t i = 0; hex && i < 16; i++) {
        int high = hex_digit(id[2 * i]), low = hex_digit(id[2 * i + 1]);
        hex = high >= 0 && low >= 0;
        raw[i] = (unsigned char)(high << 4 | low);
    }
    if (hex) {
        put_number(p, 255, 1);
        put(p, raw, 16);
    } else {
        p->bad = p->bad || n > 64;
        put_number(p, n, 1);
        put(p, id, p->bad ? 0 : n);
    }
}

static void put_audit(struct pack *p, const char *audit)
{
    unsigned char raw[32];
    size_t n = 0;
    if (strlen(audit) != AUDIT_ID_SIZE - 1 || !base64url_decode(audit, AUDIT_ID_SIZE - 1, raw, &n) || n != 16)
        p->bad = true;
    put(p, raw, 16);
}

static const unsigned char *take(struct pack *p, size_t n)
{
    if (p->bad || (size_t)(p->end - p->at) < n) {
        p->bad = true;
        return NULL;
    }
    p->at += n;
    return p->at - n;
}

static uint64_t take_number(struct pack *p, size_t bytes)
{
    const unsigned char *b = take(p, bytes);
    uint64_t v = 0;
    for (size_t i = 0; b && i < bytes; i++)
        v = v << 8 | b[i];
    return v;
}

static const char *take_id(struct pack *p, struct arena *a)
{
    static const char HEX[] = "0123456789abcdef";
    uint64_t n = take_number(p, 1);
    const unsigned char *raw = take(p, n == 255 ? 16 : n);
    if (!raw)
        return NULL;
    if (n != 255) {
        p->bad = n == 0 || memchr(raw, 0, n) != NULL;
        return p->bad ? NULL : arena_strndup(a, (const char *)raw, n);
    }
    char *id = arena_alloc(a, 33);
    for (size_t i = 0; id && i < 16; i++) {
        id[2 * i] = HEX[raw[i] >> 4];
        id[2 * i + 1] = HEX[raw[i] & 15];
    }
    return id;
}

enum { HAS_PARENT = 1, HAS_APP_CRED = 2, HAS_TRUST = 4 };

static bool payload_pack(const struct token_payload *t, struct pack *p)
{
    unsigned has = (*t->parent_audit_id ? HAS_PARENT : 0) | (t->app_cred_id ? HAS_APP_CRED : 0) |
                   (t->trust_id ? HAS_TRUST : 0);
    put_number(p, t->methods, 1);
    put_number(p, (unsigned)t->scope << 4 | has, 1);
    put_number(p, (uint64_t)t->issued_at, 8);
    put_number(p, (uint64_t)t->expires_at, 8);
    put_audit(p, t->audit_id);
    if (has & HAS_PARENT)
        put_audit(p, t->parent_audit_id);
    put_id(p, t->user_id);
    if (t->scope == SCOPE_PROJECT || t->scope == SCOPE_DOMAIN)
        put_id(p, t->scope_id);
    if (has & HAS_APP_CRED)
        put_id(p, t->app_cred_id);
    if (has & HAS_TRUST)
        put_id(p, t->trust_id);
    return !p->bad;
}

static bool payload_unpack(struct pack *p, struct arena *a, struct token_payload *t)
{
    *t = (struct token_payload){ .methods = (unsigned)take_number(p, 1) };
    unsigned flags = (unsigned)take_number(p, 1);
    if (flags >> 4 > SCOPE_SYSTEM)
        return false;
    t->scope = (enum token_scope)(flags >> 4);
    t->issued_at = (usec_t)take_number(p, 8);
    t->expires_at = (usec_t)take_number(p, 8);
    const unsigned char *audit = take(p, 16);
    if (audit)
        base64url_encode(audit, 16, t->audit_id);
    if (flags & HAS_PARENT && (audit = take(p, 16)))
        base64url_encode(audit, 16, t->parent_audit_id);
    t->user_id = take_id(p, a);
    if (t->scope == SCOPE_PROJECT || t->scope == SCOPE_DOMAIN)
        t->scope_id = take_id(p, a);
    if (flags & HAS_APP_CRED)
        t->app_cred_id = take_id(p, a);
    if (flags & HAS_TRUST)
        t->trust_id = take_id(p, a);
    return !p->bad && p->at == p->end && t->user_id;
}

/* ---- sealing ---- */

int token_seal_raw(struct token_keys *k, const void *plain, size_t n, char out[TOKEN_TEXT_MAX])
{
    unsigned char sealed[HEAD_SIZE + NONCE_SIZE + PAYLOAD_MAX + TAG_SIZE];
    struct token_key key;
    if (n > PAYLOAD_MAX)
        return -EINVAL;
    if (!key_find(k, 0, &key))
        return -ENOENT;
    sealed[0] = TOKEN_VERSION;
    for (size_t i = 0; i < 4; i++)
        sealed[1 + i] = (unsigned char)(key.number >> 8 * (3 - i));
    random_bytes(sealed + HEAD_SIZE, NONCE_SIZE);
    int size = (int)n, done = 0, rest = 0, aad = 0;
    unsigned char *text = sealed + HEAD_SIZE + NONCE_SIZE;
    EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
    bool good = x && EVP_EncryptInit_ex2(x, k->cipher, key.bytes, sealed + HEAD_SIZE, NULL) == 1 &&
                EVP_EncryptUpdate(x, NULL, &aad, sealed, HEAD_SIZE) == 1 &&
                EVP_EncryptUpdate(x, text, &done, plain, size) == 1 &&
                EVP_EncryptFinal_ex(x, text + done, &rest) == 1 &&
                EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, text + size) == 1;
    EVP_CIPHER_CTX_free(x);
    explicit_bzero(&key, sizeof(key));
    if (!good)
        return -ENOMEM;
    base64url_encode(sealed, HEAD_SIZE + NONCE_SIZE + n + TAG_SIZE, out);
    return 0;
}

int token_seal(struct token_keys *k, const struct token_payload *t, char out[TOKEN_TEXT_MAX])
{
    unsigned char plain[PAYLOAD_MAX];
    struct pack p = { plain, plain + sizeof(plain), false };
    if (!payload_pack(t, &p))
        return -EINVAL;
    return token_seal_raw(k, plain, (size_t)(p.at - plain), out);
}

int token_open(struct token_keys *k, struct arena *a, const char *text, struct token_payload *ret)
{
    unsigned char sealed[TOKEN_TEXT_MAX], plain[TOKEN_TEXT_MAX];
    size_t n = strlen(text), size;
    if (n >= TOKEN_TEXT_MAX || !base64url_decode(text, n, sealed, &size) ||
        size <= HEAD_SIZE + NONCE_SIZE + TAG_SIZE || sealed[0] != TOKEN_VERSION)
        return FAULT;
    uint32_t number =
        (uint32_t)sealed[1] << 24 | (uint32_t)sealed[2] << 16 | (uint32_t)sealed[3] << 8 | sealed[4];
    struct token_key key;
    if (number == 0 || !key_find_or_look(k, number, &key))
        return FAULT;
    int inside = (int)(size - HEAD_SIZE - NONCE_SIZE - TAG_SIZE), done = 0, rest = 0, aad = 0;
    unsigned char *body = sealed + HEAD_SIZE + NONCE_SIZE;
    EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
    bool good = x && EVP_DecryptInit_ex2(x, k->cipher, key.bytes, sealed + HEAD_SIZE, NULL) == 1 &&
                EVP_DecryptUpdate(x, NULL, &aad, sealed, HEAD_SIZE) == 1 &&
                EVP_DecryptUpdate(x, plain, &done, body, inside) == 1 &&
                EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, body + inside) == 1 &&
                EVP_DecryptFinal_ex(x, plain + done, &rest) == 1;
    EVP_CIPHER_CTX_free(x);
    explicit_bzero(&key, sizeof(key));
    if (!good)
        return FAULT;
    struct pack p = { plain, plain + inside, false };
    return payload_unpack(&p, a, ret) ? 0 : FAULT;
}
