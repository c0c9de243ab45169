/* libnftables; see nft.h. */
#include "host/net/nft.h"

#include "host/net/netlink.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <nftables/libnftables.h>

static uint64_t hash_text(uint64_t h, const char *s)
{
    for (; s && *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

static int on_generation(void *arg, const struct nlmsghdr *h)
{
    struct nlattr *tb[NFTA_GEN_MAX + 1];
    if (nlmsg_parse((struct nlmsghdr *)(uintptr_t)h, sizeof(struct nfgenmsg), tb, NFTA_GEN_MAX, NULL) < 0)
        return -EBADMSG;
    if (tb[NFTA_GEN_ID])
        *(uint32_t *)arg = ntohl(nla_get_u32(tb[NFTA_GEN_ID]));
    return 0;
}

static int generation(uint32_t *ret)
{
    _cleanup_(netlink_closep) struct netlink *n = NULL;
    int r = netlink_open(NETLINK_NETFILTER, &n);
    if (r < 0)
        return r;
    struct nl_msg *msg =
        nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_REQUEST | NLM_F_ACK);
    struct nfgenmsg g = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
    if (!msg || nlmsg_append(msg, &g, sizeof(g), NLMSG_ALIGNTO) < 0) {
        nlmsg_free(msg);
        return -ENOMEM;
    }
    return netlink_dump(n, msg, on_generation, ret);
}

static void nft_closep(struct nft_ctx **c)
{
    if (*c)
        nft_ctx_free(*c);
}

static struct nft_ctx *nft_open(void)
{
    struct nft_ctx *c = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!c)
        return NULL;
    nft_ctx_buffer_error(c);
    nft_ctx_buffer_output(c);
    /* Names of protocols and services cost lookups and change with the host's files. */
    nft_ctx_output_set_flags(c, NFT_CTX_OUTPUT_NUMERIC_ALL | NFT_CTX_OUTPUT_STATELESS);
    return c;
}

/* The first line of what went wrong: the rest points into a text that nobody sees. */
static int failed(struct nft_ctx *c, char *error, size_t size)
{
    const char *text = nft_ctx_get_error_buffer(c);
    snprintf(error, size, "%.*s", (int)strcspn(str_or(text, ""), "\n"), str_or(text, ""));
    return -EINVAL;
}

static uint64_t list(struct nft_ctx *c, const char *const *families)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *families; families++) {
        char command[64];
        snprintf(command, sizeof(command), "list table %s yunduo", *families);
        if (nft_run_cmd_from_buffer(c, command) == 0)
            h = hash_text(h, nft_ctx_get_output_buffer(c));
        else
            h = hash_text(h, "gone");
    }
    return h;
}

int nft_make(const char *text, const char *const *families, struct nft_memory *m, char *error, size_t size)
{
    uint32_t now = 0;
    uint64_t hash = hash_text(0xcbf29ce484222325u, text);
    int r = generation(&now);
    if (r < 0) {
        snprintf(error, size, "the kernel has no nftables");
        return r;
    }
    bool same = m->known && m->text == hash;
    if (same && m->generation == now && m->listed)
        return NFT_SAME;
    _cleanup_(nft_closep) struct nft_ctx *c = nft_open();
    if (!c)
        return -ENOMEM;
    if (same && m->generation == now) {
        uint64_t listing = list(c, families);
        uint32_t then = 0;
        r = generation(&then);
        if (r == 0 && then == now) { /* nobody came between */
            m->listed = true;
            m->listing = listing;
        }
        return r < 0 ? r : NFT_SAME;
    }
    if (same && m->listed && list(c, families) == m->listing) {
        m->generation = now;
        return NFT_SAME;
    }
    /* A new agent commits what may be there already; only then it matters whether it was. */
    bool compare = !m->known;
    uint64_t before = compare ? list(c, families) : 0;
    m->known = false;
    if (*text) {
        if (nft_run_cmd_from_buffer(c, text) != 0)
            return failed(c, error, size);
    } else {
        for (const char *const *f = families; *f; f++) {
            char command[128];
            snprintf(command, sizeof(command), "add table %s yunduo\ndelete table %s yunduo\n", *f, *f);
            if (nft_run_cmd_from_buffer(c, command) != 0)
                return failed(c, error, size);
        }
    }
    r = generation(&now);
    if (r < 0)
        return r;
    *m = (struct nft_memory){ .known = true, .text = hash, .generation = now };
    return compare && before == list(c, families) ? NFT_SAME : NFT_CHANGED;
}

int nft_try(const char *text, char *error, size_t size)
{
    _cleanup_(nft_closep) struct nft_ctx *c = nft_open();
    if (!c)
        return -ENOMEM;
    nft_ctx_set_dry_run(c, true);
    return nft_run_cmd_from_buffer(c, text) == 0 ? 0 : failed(c, error, size);
}
