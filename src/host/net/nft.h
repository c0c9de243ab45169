/*
 * nftables through libnftables: one text, one transaction, and knowing whether the kernel
 * still has what we gave it.
 *
 * After a commit the ruleset's generation number is remembered, and in the next quiet pass the
 * hash of the kernel's own listing of our tables. Later: same generation, nothing happened;
 * another one (any program may change its own tables), list and compare. So rules flushed by
 * hand are seen, and a pass with nothing to do costs one short message. Where there is
 * nothing to compare with (a new agent, a change right after a commit) the text is
 * committed once more, which interrupts nothing.
 */
#ifndef YUNDUO_HOST_NET_NFT_H
#define YUNDUO_HOST_NET_NFT_H

#include "base/buf.h"

struct nft_memory {
    bool known;
    uint64_t text;                  /* hash of what was given */
    uint32_t generation;            /* the kernel's, when it was last seen to have that */
    bool listed;
    uint64_t listing;               /* hash of the kernel's own words for it */
};

enum { NFT_SAME = 0, NFT_CHANGED = 1 };

/* Makes the tables of family 'families' (a space-separated list) called yunduo be what 'text'
 * says; an empty text: not there. Runs in this thread's namespace. Returns NFT_SAME,
 * NFT_CHANGED, or negative with libnftables' words in 'error'. */
int nft_make(const char *text, const char *const *families, struct nft_memory *m, char *error, size_t size);
/* Tries a text without committing it. */
int nft_try(const char *text, char *error, size_t size);

#endif
