/*
 * Tokens opened lately, so that a request by a known token costs a digest and a copy.
 *
 * Keyed by the token's SHA-256: no token lies in memory longer than its request. An entry is good
 * for one generation: any change of what tokens depend on makes all of them stale, and they are
 * opened again when they next come. Bounded: a set of slots, the one used longest ago goes.
 */
#include "identity/internal.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdatomic.h>

#define SHARDS 16
#define SETS 32
#define WAYS 4 /* 2,048 tokens in all */
#define ANSWER_MAX 32768

struct slot {
    unsigned char digest[32];
    uint64_t generation, used;
    struct arena *arena;
    struct token_info *info;
    char *answer;
    size_t answer_size;
};

struct shard {
    pthread_mutex_t lock;
    uint64_t tick;
    struct slot slots[SETS][WAYS];
};

struct token_cache {
    EVP_MD *md;
    struct shard shards[SHARDS];
};

int token_cache_new(struct token_cache **ret)
{
    struct token_cache *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    for (size_t i = 0; i < SHARDS; i++)
        (void)pthread_mutex_init(&c->shards[i].lock, NULL);
    c->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!c->md) {
        token_cache_free(c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

static void slot_done(struct slot *s)
{
    arena_free(s->arena);
    free(s->answer);
    *s = (struct slot){ 0 };
}

void token_cache_free(struct token_cache *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t k = 0; k < SETS * WAYS; k++)
            slot_done(&c->shards[i].slots[k / WAYS][k % WAYS]);
        (void)pthread_mutex_destroy(&c->shards[i].lock);
    }
    EVP_MD_free(c->md);
    free(c);
}

/* A deep copy, but for auth.token, which is the caller's to set. */
static bool info_copy(struct arena *a, const struct token_info *from, struct token_info *to)
{
    *to = *from;
    const char **strings[] = {
        &to->auth.user_id,
        &to->auth.user_name,
        &to->auth.user_domain_id,
        &to->auth.user_domain_name,
        &to->auth.project_id,
        &to->auth.project_name,
        &to->auth.project_domain_id,
        &to->auth.project_domain_name,
        &to->auth.domain_id,
        &to->auth.domain_name,
        &to->payload.user_id,
        &to->payload.scope_id,
        &to->payload.app_cred_id,
        &to->payload.trust_id,
        &to->trustor_id,
        &to->trustee_id,
        &to->app_cred_name,
    };
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        *strings[i] = arena_strdup(a, *strings[i]);
    to->auth.roles = to->auth.role_ids = (struct strv){ 0 };
    for (size_t i = 0; i < from->auth.roles.n; i++) {
        (void)strv_add(a, &to->auth.roles, from->auth.roles.v[i]);
        (void)strv_add(a, &to->auth.role_ids, from->auth.role_ids.v[i]);
    }
    memset(&to->access_rules, 0, sizeof(to->access_rules));
    VEC_FOREACH (x, &from->access_rules) {
        const struct access_rule *copy = schema_copy(&ACCESS_RULE_SCHEMA, x, a);
        if (copy)
            (void)vec_push(a, &to->access_rules, *copy);
    }
    to->auth.token = NULL;
    to->auth.audit_id = to->payload.audit_id;
    to->auth.extra = to;
    return !arena_failed(a);
}

static struct slot *lock_set(struct token_cache *c, const char *token, unsigned char digest[EVP_MAX_MD_SIZE],
                             struct shard **ret)
{
    if (EVP_Digest(token, strlen(token), digest, NULL, c->md, NULL) != 1)
        return NULL;
    struct shard *shard = &c->shards[digest[0] % SHARDS];
    (void)pthread_mutex_lock(&shard->lock);
    *ret = shard;
    return shard->slots[digest[1] % SETS];
}

static struct slot *slot_find(struct slot *set, const unsigned char *digest, uint64_t generation)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].info && set[i].generation == generation && memcmp(set[i].digest, digest, 32) == 0)
            return &set[i];
    return NULL;
}

bool token_cache_find(struct token_cache *c, uint64_t generation, const char *token, struct arena *a,
                      struct token_info *ret)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct shard *shard;
    struct slot *set = lock_set(c, token, digest, &shard);
    if (!set)
        return false;
    struct slot *s = slot_find(set, digest, generation);
    bool found = s && info_copy(a, s->info, ret);
    if (s)
        s->used = ++shard->tick;
    (void)pthread_mutex_unlock(&shard->lock);
    return found;
}

void token_cache_add(struct token_cache *c, uint64_t generation, const char *token,
                     const struct token_info *i)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct shard *shard;
    struct arena *a = arena_new((size_t)256 << 10);
    struct token_info *copy = a ? ARENA_NEW(a, struct token_info) : NULL;
    struct slot *set = copy && info_copy(a, i, copy) ? lock_set(c, token, digest, &shard) : NULL;
    if (!set) {
        arena_free(a); /* not kept: it will be opened again */
        return;
    }
    struct slot *s = &set[0];
    for (size_t k = 0; k < WAYS; k++) {
        if (set[k].info && memcmp(set[k].digest, digest, 32) == 0) {
            s = &set[k];
            break;
        }
        if (!set[k].info || (s->info && set[k].used < s->used))
            s = &set[k];
    }
    slot_done(s);
    memcpy(s->digest, digest, 32);
    s->generation = generation;
    s->used = ++shard->tick;
    s->arena = a;
    s->info = copy;
    (void)pthread_mutex_unlock(&shard->lock);
}

bool token_cache_find_answer(struct token_cache *c, uint64_t generation, const char *token, struct buf *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct shard *shard;
    struct slot *set = lock_set(c, token, digest, &shard);
    if (!set)
        return false;
    struct slot *s = slot_find(set, digest, generation);
    bool found = s && s->answer;
    if (found)
        buf_add(out, s->answer, s->answer_size);
    (void)pthread_mutex_unlock(&shard->lock);
    return found;
}

void token_cache_add_answer(struct token_cache *c, uint64_t generation, const char *token, const char *text,
                            size_t n)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct shard *shard;
    char *copy = n <= ANSWER_MAX ? malloc(n) : NULL;
    struct slot *set = copy ? lock_set(c, token, digest, &shard) : NULL;
    if (!set) {
        free(copy);
        return;
    }
    memcpy(copy, text, n);
    struct slot *s = slot_find(set, digest, generation);
    if (s) {
        free(s->answer);
        s->answer = TAKE_PTR(copy);
        s->answer_size = n;
    }
    (void)pthread_mutex_unlock(&shard->lock);
    free(copy);
}
