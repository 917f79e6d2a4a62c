/* SPDX-License-Identifier: Apache-2.0
 * braid-linkemu: a slow, distant or failing link as a TCP proxy. */
#include "proxy.h"

#include <arpa/inet.h>
#include <stdio.h>

int main(int argc, char **argv) {
  struct options options;
  struct proxy proxy;
  int exit_code = EXIT_FAILED;
  braid_log_set_name("braid-linkemu");
  if (options_parse(argc, argv, &options, &exit_code)) {
    if (proxy_open(&options, &proxy) == BRAID_OK) {
      char text[INET_ADDRSTRLEN];
      inet_ntop(AF_INET, &proxy.options.listen.sin_addr, text, sizeof text);
      printf("listening on %s:%d\n", text, ntohs(proxy.options.listen.sin_port));
      fflush(stdout);
      exit_code = proxy_run(&proxy);
    } else {
      braid_log(BRAID_LOG_ERROR, "%s", braid_error());
      exit_code = EXIT_LINK;
    }
    proxy_close(&proxy);
  }
  rate_plan_free(&options.rate[UP]);
  rate_plan_free(&options.rate[DOWN]);
  return exit_code;
}
