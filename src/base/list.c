/* Intrusive lists. */
#include "base.h"

void list_init(struct list *l)
{
    l->prev = l->next = l;
}

bool list_empty(const struct list *l)
{
    return l->next == l;
}

static void insert(struct list *prev, struct list *next, struct list *node)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

void list_append(struct list *head, struct list *node)
{
    insert(head->prev, head, node);
}

void list_prepend(struct list *head, struct list *node)
{
    insert(head, head->next, node);
}

void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

struct list *list_pop(struct list *head)
{
    if (list_empty(head))
        return NULL;
    struct list *node = head->next;
    list_remove(node);
    return node;
}
