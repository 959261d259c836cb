/**
 * Every command, once: parser, help, man page, completions and docs/cli.md are made from this table.
 *
 * A new command is a definition here, a module in `commands/` and a line in `wiring.ts`.
 */
import {
  COMPLETIONS,
  CONFIG_PATH,
  CONFIG_SET,
  CONFIG_SHOW,
  DOCTOR,
  HELP,
  MAN,
  VERSION,
} from "./commands/definitions_help.ts";
import { COPY } from "./commands/definitions_copy.ts";
import { JOB_ADD, JOB_LIST, JOB_LOG, JOB_REMOVE, JOB_RUN } from "./commands/definitions_job.ts";
import { LOCK, LOCK_LIST, LOCK_RELEASE, LOCK_RENEW } from "./commands/definitions_lock.ts";
import { HUB, HUB_STATUS } from "./commands/definitions_hub.ts";
import { RECV, SEND } from "./commands/definitions_transfer.ts";
import { STORE_CLEAR, STORE_GC, STORE_STATS, STORE_VERIFY } from "./commands/definitions_store.ts";
import { PAIR, PEERS_FORGET, PEERS_LIST, PEERS_RENAME, PEERS_RIGHTS } from "./commands/definitions_peers.ts";
import { SYNC, SYNC_CONFLICTS, SYNC_RESTORE, SYNC_SERVE, SYNC_STATUS } from "./commands/definitions_sync.ts";
import { TRANSFERS } from "./commands/definitions_transfers.ts";
import { VERIFY } from "./commands/definitions_verify.ts";
import { COMMON_FLAGS } from "./common_flags.ts";
import type { ArgsOf, Command, Flag } from "./definition.ts";

/** Every command, in the order in which help shows them. */
export const COMMANDS = [
  SEND,
  RECV,
  PAIR,
  PEERS_LIST,
  PEERS_RENAME,
  PEERS_FORGET,
  PEERS_RIGHTS,
  SYNC,
  SYNC_SERVE,
  SYNC_CONFLICTS,
  SYNC_RESTORE,
  SYNC_STATUS,
  JOB_ADD,
  JOB_LIST,
  JOB_RUN,
  JOB_REMOVE,
  JOB_LOG,
  LOCK,
  LOCK_LIST,
  LOCK_RENEW,
  LOCK_RELEASE,
  TRANSFERS,
  COPY,
  VERIFY,
  STORE_STATS,
  STORE_VERIFY,
  STORE_GC,
  STORE_CLEAR,
  HUB,
  HUB_STATUS,
  CONFIG_SHOW,
  CONFIG_SET,
  CONFIG_PATH,
  DOCTOR,
  COMPLETIONS,
  MAN,
  VERSION,
  HELP,
] as const satisfies readonly Command[];

/** `wormhole recv`, for whoever looks at its flags. */
export const RECV_COMMAND = RECV;

/** Name of one command. */
export type CommandName = typeof COMMANDS[number]["name"];

/** Values of the flags that every command has. */
export type CommonArgs = {
  readonly [K in keyof typeof COMMON_FLAGS]: typeof COMMON_FLAGS[K] extends Flag<infer T> ? T : never;
};

/** What a command gets from the command line. */
export type CommandArgs<C> = ArgsOf<C> & CommonArgs;

export type SendArgs = CommandArgs<typeof SEND>;
export type RecvArgs = CommandArgs<typeof RECV>;
export type PairArgs = CommandArgs<typeof PAIR>;
export type PeersListArgs = CommandArgs<typeof PEERS_LIST>;
export type PeersRenameArgs = CommandArgs<typeof PEERS_RENAME>;
export type PeersForgetArgs = CommandArgs<typeof PEERS_FORGET>;
export type PeersRightsArgs = CommandArgs<typeof PEERS_RIGHTS>;
export type SyncArgs = CommandArgs<typeof SYNC>;
export type SyncServeArgs = CommandArgs<typeof SYNC_SERVE>;
export type SyncConflictsArgs = CommandArgs<typeof SYNC_CONFLICTS>;
export type SyncStatusArgs = CommandArgs<typeof SYNC_STATUS>;
export type SyncRestoreArgs = CommandArgs<typeof SYNC_RESTORE>;
export type JobAddArgs = CommandArgs<typeof JOB_ADD>;
export type JobListArgs = CommandArgs<typeof JOB_LIST>;
export type JobRunArgs = CommandArgs<typeof JOB_RUN>;
export type JobRemoveArgs = CommandArgs<typeof JOB_REMOVE>;
export type JobLogArgs = CommandArgs<typeof JOB_LOG>;
export type LockArgs = CommandArgs<typeof LOCK>;
export type LockListArgs = CommandArgs<typeof LOCK_LIST>;
export type LockRenewArgs = CommandArgs<typeof LOCK_RENEW>;
export type LockReleaseArgs = CommandArgs<typeof LOCK_RELEASE>;
export type TransfersArgs = CommandArgs<typeof TRANSFERS>;
export type CopyArgs = CommandArgs<typeof COPY>;
export type VerifyArgs = CommandArgs<typeof VERIFY>;
export type StoreStatsArgs = CommandArgs<typeof STORE_STATS>;
export type StoreVerifyArgs = CommandArgs<typeof STORE_VERIFY>;
export type StoreGcArgs = CommandArgs<typeof STORE_GC>;
export type StoreClearArgs = CommandArgs<typeof STORE_CLEAR>;
export type HubArgs = CommandArgs<typeof HUB>;
export type HubStatusArgs = CommandArgs<typeof HUB_STATUS>;
export type ConfigShowArgs = CommandArgs<typeof CONFIG_SHOW>;
export type ConfigSetArgs = CommandArgs<typeof CONFIG_SET>;
export type ConfigPathArgs = CommandArgs<typeof CONFIG_PATH>;
export type DoctorArgs = CommandArgs<typeof DOCTOR>;
export type CompletionsArgs = CommandArgs<typeof COMPLETIONS>;
export type ManArgs = CommandArgs<typeof MAN>;
export type VersionArgs = CommandArgs<typeof VERSION>;
export type HelpArgs = CommandArgs<typeof HELP>;

/** Exit codes and their meaning are in `exit.ts`; this is what all output of the table is headed with. */
export const PROGRAM = {
  name: "wormhole",
  summary: "move files between machines, privately and checked",
} as const;

/** The commands that this version has. */
export function visibleCommands(): Command[] {
  return (COMMANDS as readonly Command[]).filter((command) => !command.pending);
}

/** Gives the flags of a command, its own first. */
export function flagsOf(command: Command): Record<string, Flag> {
  return { ...command.flags, ...COMMON_FLAGS };
}
