/* daemon/service/operator.h - the commands of dashd's owner, which need no dashd that runs:
 *
 *   dashd init [--name HOST]... [--renew]
 *   dashd token add NAME --role ROLE [--expires 30d] [--certificate]
 *   dashd token list [--output json]
 *   dashd token revoke NAME [--certificate]
 *
 * argv[0] is the command. They return an exit status: 0, 1 (failed), 2 (usage error). A secret goes
 * to standard output or a file (0600), and nowhere else; all other words go to standard error.
 */
#pragma once

int operator_init(int argc, char **argv);
int operator_token(int argc, char **argv);
