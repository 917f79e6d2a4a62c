/* SPDX-License-Identifier: Apache-2.0
 * braid keys: makes the key pairs of a cloud and its edges. */
#include "commands.h"

#include <stddef.h>

struct keys_options {
  struct cli_list edge;
  bool json;
};
#define FIELD(member) offsetof(struct keys_options, member)
static const struct cli_option options[] = {
    {"edge", 0, CLI_LIST, FIELD(edge), "NAME", NULL, "make an edge's pair too, and let it in"},
    CLI_JSON_OPTION(struct keys_options, json),
};

/* One line a pair: "made DIR/cloud.key", "kept ..." for one that was there. */
static void tell(bool made, const char *dir, const char *name, json_t *list) {
  if (list)
    json_array_append_new(list, json_pack("{s:s, s:b}", "name", name, "made", made));
  else
    printf("%s %s/%s.key\n", made ? "made" : "kept", dir, name);
}

static int make_pairs(const struct keys_options *o, const char *dir, json_t *list) {
  bool made;
  if (braid_keys_make_cloud(dir, &made) != BRAID_OK) return cli_fail(CLI_FAILED);
  tell(made, dir, "cloud", list);
  for (int i = 0; i < o->edge.n; i++) {
    char name[BRAID_KEY_NAME_BYTES + sizeof "edges/"];
    enum braid_status status = braid_keys_make_edge(dir, o->edge.item[i], &made);
    if (status != BRAID_OK) return cli_fail(status == BRAID_EINVAL ? CLI_USAGE : CLI_FAILED);
    snprintf(name, sizeof name, "edges/%s", o->edge.item[i]);
    tell(made, dir, name, list);
  }
  return CLI_DONE;
}

static int run(const void *values, char **args, int n_args) {
  const struct keys_options *o = values;
  (void)n_args;
  json_t *list = o->json ? json_array() : NULL;
  int exit = make_pairs(o, args[0], list);
  if (exit == CLI_DONE && o->json) return cli_print_json(json_pack("{s:s, s:o}", "dir", args[0], "keys", list));
  json_decref(list);
  return exit;
}

const struct cli_command cmd_keys = {
    "keys",
    "DIR",
    "makes the key pairs of a cloud and its edges",
    "Fills DIR, which 'braid cloud --keys DIR' reads: cloud.key and cloud.pub, edges/NAME.key and edges/NAME.pub for "
    "every "
    "--edge, and 'allowed', the list of edges that the cloud lets in (NAME and public key, one a line). Never "
    "overwrites a key; run it again to add edges. The list may be edited while the cloud runs: a line more lets an "
    "edge in, "
    "a line less cuts it off.\n\n"
    "An edge needs a folder of its own with cloud.pub and edges/NAME.key in it, for 'braid edge --keys'. Secret keys "
    "(*.key) "
    "have mode 0600, and are refused when others may read them.",
    1,
    1,
    options,
    CLI_COUNT_OF(options),
    run};
