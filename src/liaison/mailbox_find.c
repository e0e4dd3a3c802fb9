/* Looking for the canary: in the INBOX again and again, now and then in all other folders (Junk
 * first), until it is there; then reading and removing it. */
#include "liaison/mailbox_int.h"

#include <poll.h>
#include <stdio.h>

enum {
    PAUSE_LEAST_MS = 200,
    PAUSE_MOST_MS = 5000,
    BODY_MAX = 16 << 10, /* of what is fetched: companies add disclaimers */
    FOLDERS_TRIED = 100, /* besides the INBOX */
    EVERY_FOLDERS = 4,   /* rounds between looks into the other folders */
    EVERY_HEADERS = 3,   /* rounds between looks that do not trust the server's search */
};

enum found { FOUND, MISSING, BROKEN };

struct hunt {
    struct mailbox_canary *c;
    struct mailbox *m;
    const struct mailbox_selected *before;
    struct mailbox_selected now;    /* of the selected folder */
    struct mailbox_folders folders; /* made when first needed */
    struct slice selected;          /* name of a folder, as on the wire */
    mono_us sent_at, until, last;   /* `last`: when the last pass has to end */
    unsigned round;
    size_t n_folders;       /* looked into in the last pass */
    uint32_t uid;           /* of the canary */
    struct mailbox_end why; /* the last search that was refused */
    size_t n_added;         /* bytes around the body that we sent */
    bool is_read, is_same;
};

static bool contains(struct slice s, struct slice part)
{
    return s.n >= part.n && memmem(s.p, s.n, part.p, part.n) != NULL;
}

/* ---- one folder
 * ------------------------------------------------------------------------------------ */

static void see_header(void *arg, const struct imap_response *p)
{
    struct hunt *h = arg;
    for (size_t i = 0; p->word == IMAP_FETCH && i < p->n_sections; i++)
        if (p->uid && contains(p->sections[i].bytes, slice_str(h->c->id)))
            h->uid = p->uid;
}

/* What came since, without the server's index, which may lag or know no Message-IDs. */
static enum imap_word look_at_new(struct hunt *h)
{
    mailbox_begin(h->m, "FETCH");
    imap_command_add(&h->m->command, "UID FETCH %u:* (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])",
                     h->before->uid_next);
    return mailbox_run(h->m, IPC_STEP_SEARCH, see_header, h);
}

static enum found look_in_selected(struct hunt *h)
{
    struct mailbox_uids uids;
    bool is_inbox = slice_ieq(h->selected, SLICE("INBOX")) && h->before->uid_next > 0;
    enum imap_word word = mailbox_search_id(h->m, slice_str(h->c->id), SLICE(""), &uids);
    if (word == IMAP_OK && uids.n > 0)
        h->uid = uids.uid[uids.n - 1];
    else if (word != IMAP_BYE && is_inbox &&
             (word != IMAP_OK || h->round % EVERY_HEADERS == EVERY_HEADERS - 1))
        word = look_at_new(h);
    if (word == IMAP_BYE)
        return BROKEN;
    if (word != IMAP_OK)
        h->why = h->m->end;
    return h->uid ? FOUND : MISSING;
}

static enum found look_in_inbox(struct hunt *h)
{
    if (!slice_ieq(h->selected, SLICE("INBOX"))) {
        h->selected = SLICE("INBOX");
        if (!mailbox_select(h->m, h->selected, true, &h->now))
            return BROKEN;
        return look_in_selected(h);
    }
    mailbox_begin(h->m, "NOOP");
    imap_command_add(&h->m->command, "NOOP");
    if (mailbox_run(h->m, IPC_STEP_SEARCH, NULL, NULL) == IMAP_BYE)
        return BROKEN;
    return look_in_selected(h);
}

static enum found look_in_others(struct hunt *h)
{
    h->n_folders = 0;
    if (!h->folders.arena && !mailbox_list(h->m, &h->folders))
        return h->m->is_broken ? BROKEN : MISSING;
    for (size_t i = 0; i < h->folders.n && h->n_folders < FOLDERS_TRIED; i++) {
        struct slice name = h->folders.list[i].name;
        if (slice_ieq(name, SLICE("INBOX")))
            continue;
        if (mono_now() >= h->until)
            break;
        h->selected = SLICE("");
        if (!mailbox_select(h->m, name, true, &h->now)) {
            if (h->m->is_broken)
                return BROKEN;
            continue; /* one that is not ours to open */
        }
        h->selected = name;
        h->n_folders++;
        enum found found = look_in_selected(h);
        if (found != MISSING)
            return found;
    }
    return MISSING;
}

/* ---- until it is there
 * -------------------------------------------------------------------------------- */

static bool wait_a_while(struct hunt *h, unsigned ms)
{
    struct pollfd p = {.fd = h->m->net->cancel_fd, .events = POLLIN};
    mono_us left = (h->until - mono_now()) / 1000;
    if (left < (mono_us)ms)
        ms = left > 0 ? (unsigned)left : 0;
    if (poll(&p, 1, (int)ms) <= 0)
        return true;
    mailbox_break(h->m, IPC_STEP_SEARCH, "we are stopping");
    h->m->end.is_ours = true;
    return false;
}

static void not_there(struct hunt *h)
{
    long long seconds = (mono_now() - h->sent_at) / 1000000;
    if (h->why.text[0])
        mailbox_end_words(&h->m->end, IPC_STEP_SEARCH,
                          "the primary took the canary %lld s ago, but it cannot be looked for: %s",
                          seconds, h->why.text);
    else
        mailbox_end_words(&h->m->end, IPC_STEP_SEARCH,
                          "the primary took the canary %lld s ago, but it is neither in the INBOX "
                          "nor in %zu other folders",
                          seconds, h->n_folders);
}

static bool wait_for_it(struct hunt *h)
{
    unsigned ms = PAUSE_LEAST_MS;
    for (h->round = 0;; h->round++) {
        enum found found = look_in_inbox(h);
        if (found == MISSING && h->round % EVERY_FOLDERS == EVERY_FOLDERS - 2)
            found = look_in_others(h);
        if (found != MISSING)
            return found == FOUND;
        if (mono_now() >= h->until)
            break;
        if (!wait_a_while(h, ms))
            return false;
        ms = ms * 3 / 2 < PAUSE_MOST_MS ? ms * 3 / 2 : PAUSE_MOST_MS;
    }
    /* The last word about a loss is said only after everything was looked through once more. */
    h->until = h->last;
    enum found found = look_in_others(h);
    if (found == MISSING)
        not_there(h);
    return found == FOUND;
}

/* ---- reading and removing
 * ------------------------------------------------------------------------------- */

static void see_body(void *arg, const struct imap_response *p)
{
    struct hunt *h = arg;
    struct slice ours = slice_trim(buf_slice(&h->c->body)); /* line ends behind it come and go */
    for (size_t i = 0; p->word == IMAP_FETCH && p->uid == h->uid && i < p->n_sections; i++) {
        struct slice bytes = p->sections[i].bytes;
        h->is_read |= bytes.n > 0;
        h->is_same |= contains(bytes, ours);
        h->n_added = bytes.n > h->c->body.n ? bytes.n - h->c->body.n : 0;
    }
}

static bool read_it(struct hunt *h)
{
    mailbox_begin(h->m, "FETCH");
    imap_command_add(&h->m->command, "UID FETCH %u (UID BODY.PEEK[TEXT]<0.%d>)", h->uid, BODY_MAX);
    if (mailbox_run(h->m, IPC_STEP_FETCH, see_body, h) != IMAP_OK)
        return false;
    if (!h->is_read)
        mailbox_end_words(&h->m->end, IPC_STEP_FETCH,
                          "the canary is in %s but the server does not hand out its text",
                          h->c->folder);
    else if (!h->is_same)
        mailbox_end_words(&h->m->end, IPC_STEP_FETCH,
                          "the canary is in %s but its text is not what was sent", h->c->folder);
    return h->is_same;
}

/* Of this node only, and none that is newer: that one may still be looked for. */
static bool remove_it(struct hunt *h)
{
    char host[300];
    struct mailbox_uids found, old = {.uid = {h->uid}, .n = 1};
    uint32_t validity = h->now.uid_validity;
    if (!mailbox_select(h->m, h->selected, false, &h->now))
        return false;
    if (h->now.uid_validity != validity) {
        mailbox_end_words(&h->m->end, IPC_STEP_FETCH, "the folder was made anew meanwhile");
        return false;
    }
    (void)snprintf(host, sizeof(host), "@%.255s>", h->c->net->hostname);
    enum imap_word word =
        mailbox_search_id(h->m, SLICE("<staffetta-canary."), slice_str(host), &found);
    if (word == IMAP_BYE)
        return false;
    for (size_t i = 0; word == IMAP_OK && i < found.n && old.n < MAILBOX_UIDS_MAX; i++)
        if (found.uid[i] < h->uid)
            old.uid[old.n++] = found.uid[i];
    return mailbox_remove(h->m, &old);
}

static void tell(struct hunt *h, const char *left)
{
    char added[80] = "";
    if (h->n_added > 0)
        (void)snprintf(added, sizeof(added), ", with %zu bytes added to its text", h->n_added);
    mailbox_end_words(&h->m->end, IPC_STEP_FETCH,
                      "the canary came into %.100s after %u ms%s%s%.300s", h->c->folder,
                      h->c->seen->arrived_ms, added, *left ? "; it could not be removed: " : "",
                      left);
}

bool canary_find(struct mailbox_canary *c, struct mailbox *m, const struct mailbox_selected *before)
{
    struct hunt h = {.c = c, .m = m, .before = before, .now = *before, .selected = SLICE("INBOX")};
    h.sent_at = mono_now();
    /* Time that is kept for what comes after: reading, and the last pass. */
    mono_us rest = (m->deadline - h.sent_at) / 5;
    rest = rest < SECONDS(10) ? rest : SECONDS(10);
    h.until = m->deadline - rest;
    h.last = m->deadline - rest / 4;
    bool is_well = wait_for_it(&h);
    if (is_well) {
        c->seen->arrived_ms = (uint32_t)((mono_now() - h.sent_at) / 1000) + 1;
        mailbox_folder_text(h.selected, c->folder, sizeof(c->folder));
        is_well = read_it(&h);
    }
    if (is_well) {
        bool is_removed =
            remove_it(&h); /* leaving it behind harms nobody: the next one clears it */
        struct mailbox_end left = m->end;
        tell(&h, is_removed ? "" : left.text);
    }
    mailbox_folders_finish(&h.folders);
    return is_well;
}
