import { formatSum } from "../verify/sum_list.ts";
import type {
  CheckEvent,
  ChecksumEvent,
  CodeEvent,
  DoneEvent,
  HubStatusEvent,
  NetworkEvent,
  OfferEvent,
  OutputEvent,
  PeerEvent,
  ReceiversEvent,
  ReconnectingEvent,
  UnfinishedEvent,
  VerifiedEvent,
} from "./events.ts";
import { changeText, copiedText, deletionsText } from "./human_copy.ts";
import { jobPlanText, jobRunText, jobText } from "./human_job.ts";
import { storeCleanedText, storeText, storeVerifiedText } from "./human_store.ts";
import { knownPeerText, pairedText } from "./human_peers.ts";
import { lockText } from "./human_lock.ts";
import {
  conflictCopyText,
  syncChangeText,
  syncConflictText,
  syncedText,
  syncLockedText,
  syncServingText,
  syncSessionText,
  syncStatusText,
  versionText,
} from "./human_sync.ts";
import { counted, formatDuration, formatRate, formatSize } from "./format.ts";
import { safe } from "./safe.ts";
import type { Styles } from "./terminal.ts";

/** Names of an offer that are listed; the rest is counted. */
const MAX_LISTED_NAMES = 8;

/** Gives the sentences for an event, without a last line break; nothing in them can harm a terminal. */
export function humanText(event: OutputEvent, styles: Styles): string {
  const text = plainText(event, styles);
  const receiver = "receiver" in event && event.event !== "code" ? event.receiver : undefined;
  return receiver === undefined || text === "" ? text : `Receiver ${receiver}: ${text}`;
}

function peerText({ transport, path, remote }: PeerEvent): string {
  // A magic-wormhole relay is left to nobody.
  if (path === "direct" || transport === "tcp") {
    return `Connected over ${transport}, ${path}, to ${safe(remote)}.`;
  }
  return `Connected over ${safe(remote)}: it forwards what is sealed.`;
}

function plainText(event: OutputEvent, styles: Styles): string {
  switch (event.event) {
    case "code":
      return event.receivers === undefined ? codeText(event, styles) : oneOfCodesText(event, styles);
    case "verifier":
      return `Verifier: ${styles.bold(safe(event.verifier))}\nBoth people must see the same.`;
    case "peer":
      return styles.dim(peerText(event));
    case "reconnecting":
      return reconnectingText(event, event);
    case "offer":
      return offerText(event);
    case "file_failed":
      return `${styles.yellow("failed:")} ${safe(event.message)}`;
    case "text":
      return "";
    case "listening":
      return `Listening on ${styles.bold(safe(event.url))} (Ctrl-C ends it).` +
        (event.transit ? `\nTransit relay at ${safe(event.transit.join(", "))}` : "") +
        (event.metrics ? `\nMetrics at ${safe(event.metrics)}` : "");
    case "hub_status":
      return hubStatusText(event);
    case "setting":
      return `${safe(event.name)} = ${safe(JSON.stringify(event.value))}  # ${event.source}`;
    case "check":
      return checkText(event, styles);
    case "network":
      return networkText(event, styles);
    case "checksum":
      return checksumLine(event);
    case "unfinished":
      return unfinishedText(event);
    case "kept":
      return `${formatSize(event.bytes)} of it stay in ${safe(event.destination)}. ` +
        "Receive the same things into the same folder to go on; wormhole transfers lists and drops them.";
    case "verified":
      return verifiedText(event);
    case "wrong_guess":
      return `${
        styles.yellow("warning:")
      } a wrong code was tried (${event.wrong} of ${event.allowed} that end it)`;
    case "receiver_failed":
      return `${styles.red("failed:")} ${safe(event.message)}`;
    case "receivers":
      return receiversText(event);
    case "store":
      return storeText(event);
    case "store_verified":
      return storeVerifiedText(event);
    case "store_cleaned":
      return storeCleanedText(event);
    case "waiting":
      return event.direction === "send"
        ? `Waiting for ${styles.bold(safe(event.name))}, who runs wormhole recv --from THIS-MACHINE.`
        : `Waiting for ${styles.bold(safe(event.name))} to send.`;
    case "known_peer":
      return knownPeerText(event, styles);
    case "paired":
      return pairedText(event, styles);
    case "peer_forgotten":
      return `Forgotten: ${safe(event.name)}.`;
    case "sync_change":
      return syncChangeText(event);
    case "sync_conflict":
      return syncConflictText(event, styles);
    case "lock":
      return lockText(event, styles);
    case "sync_locked":
      return syncLockedText(event, styles);
    case "sync_status":
      return syncStatusText(event, styles);
    case "sync_merged":
      return `merged: ${safe(event.name)}`;
    case "synced":
      return syncedText(event);
    case "sync_serving":
      return syncServingText(event);
    case "sync_session":
      return syncSessionText(event);
    case "conflict_copy":
      return conflictCopyText(event);
    case "version":
      return versionText(event);
    case "job":
      return jobText(event, styles);
    case "job_plan":
      return jobPlanText(event, styles);
    case "job_run":
      return jobRunText(event, styles);
    case "change":
      return changeText(event, styles);
    case "deletions":
      return deletionsText(event);
    case "copied":
      return copiedText(event);
    case "warning":
      return `${styles.yellow("warning:")} ${safe(event.message)}`;
    case "done":
      return doneText(event);
    case "error":
      return `${styles.red("error:")} ${safe(event.message)}\n${safe(event.advice)}`;
    case "progress":
      return "";
  }
}

/** Gives a checksum as `b3sum` writes it; its own escapes leave no control character but what a name may have. */
export function checksumLine({ hash, name }: ChecksumEvent): string {
  return formatSum({ hash, name }).trimEnd();
}

/** Gives the sentence for a lost connection; `wait_ms` and `left_ms` are what is left of them now. */
export function reconnectingText(
  { attempt }: Pick<ReconnectingEvent, "attempt">,
  { wait_ms, left_ms }: Pick<ReconnectingEvent, "wait_ms" | "left_ms">,
): string {
  const seconds = Math.ceil(wait_ms / 1000);
  const when = seconds > 0 ? `in ${seconds} s` : "now";
  const left = left_ms > 90_000 ? `${Math.round(left_ms / 60_000)} min` : `${Math.ceil(left_ms / 1000)} s`;
  return `Connection lost; trying again ${when} (attempt ${attempt}, up to ${left})`;
}

/** Gives what an offer contains in one phrase: "3 files in 1 folder, 1.20 GiB". */
export function contentsText({ kind, files, directories, bytes }: OfferEvent): string {
  const total = bytes === null ? "size not known yet" : formatSize(bytes);
  if (kind === "text") return `a text, ${total}`;
  if (kind === "stream") return `a stream, ${total}`;
  const parts = [counted(files, "file")];
  if (directories > 0) parts.push(counted(directories, "folder"));
  return `${parts.join(" and ")}, ${total}`;
}

function hubStatusText(
  { url, status, connections, nameplates, mailboxes, uptime_ms }: HubStatusEvent,
): string {
  const state = status === "ok" ? "works" : "is about to end and makes no new codes";
  const up = uptime_ms === null ? "" : `, up ${formatDuration(uptime_ms)}`;
  return `The hub at ${safe(url)} ${state}${up}: ${counted(connections, "connection")}, ${
    counted(nameplates, "nameplate")
  }, ${counted(mailboxes, "mailbox", "mailboxes")}.`;
}

function codeText({ code: given, hub, port, command, client }: CodeEvent, styles: Styles): string {
  const code = safe(given);
  // Their own server needs no option.
  const theirs = hub === null ? "" : ` --relay-url ${safe(hub)}`;
  const through = hub ? ` --hub ${safe(hub)}` : "";
  const line = client === undefined ? `wormhole ${command ?? "recv"}${through}` : `wormhole${theirs} receive`;
  const lines = [`Code: ${styles.bold(code)}`, `On the other machine: ${line} ${code}`];
  if (port !== null) lines.push(styles.dim(`If it is not found: add --peer THIS-MACHINE:${port}`));
  return lines.join("\n");
}

/** The codes of several receivers are a list; what to do with them is said once, below it. */
function oneOfCodesText(event: CodeEvent, styles: Styles): string {
  const { receiver, receivers, hub, port } = event;
  const through = hub ? ` --hub ${safe(hub)}` : "";
  if (receivers === "any") {
    const { guesses = 0, words = 0 } = event;
    const until = `until Ctrl-C or ${counted(guesses, "wrong guess", "wrong guesses")}`;
    const chance = `a stranger's chance: ${guesses} in ${(256 ** words).toLocaleString("en")}`;
    return `${codeText(event, styles)}\nWhoever has the code receives, ${until} (${chance}).`;
  }
  const way = port === null ? "" : styles.dim(`  (if it is not found: --peer THIS-MACHINE:${port})`);
  const line = `Code for receiver ${receiver}: ${styles.bold(safe(event.code))}${way}`;
  if (receiver !== receivers) return line;
  return `${line}\nOn the other machines: wormhole recv${through} CODE. Each code works once.`;
}

function receiversText({ served, failed, receivers }: ReceiversEvent): string {
  const lines = receivers.map(({ receiver, files, bytes, failed, code, message }) => {
    const got = `${counted(files, "file")}, ${formatSize(bytes)}`;
    const state = code === null
      ? got
      : message === null
      ? `${got}; ${counted(failed, "entry", "entries")} failed`
      : `failed: ${safe(message)}`;
    return `  ${receiver}: ${state}`;
  });
  const head = `Receivers: ${served} got everything${failed > 0 ? `, ${failed} did not` : ""}.`;
  return [head, ...lines].join("\n");
}

function offerText(event: OfferEvent): string {
  const verb = event.direction === "send" ? "Sending" : "Offered";
  const names = event.names.slice(0, MAX_LISTED_NAMES).map((name) => `  ${safe(name)}`);
  const more = event.names.length - names.length;
  if (more > 0) names.push(`  and ${more} more`);
  return [`${verb}: ${contentsText(event)}`, ...(event.kind === "text" ? [] : names)].join("\n");
}

function doneText(event: DoneEvent): string {
  const { bytes, bytes_on_wire: wire, duration_ms: ms } = event;
  const verb = event.direction === "send" ? "Sent" : "Received";
  if (event.kind === "text") return `${verb} the text.`;
  // What was there says nothing of the speed.
  const moved = bytes - event.bytes_found;
  const speed = ms > 0 && moved > 0 ? `, ${formatRate(moved / (ms / 1000))}` : "";
  const place = event.destination === null ? "" : ` into ${safe(event.destination)}`;
  const where = event.direction === "send" ? "there" : "here";
  const found = event.bytes_found > 0
    ? `, of which ${formatSize(event.bytes_found)} was ${where} already`
    : "";
  const saved = bytes > 0 && wire < bytes * 0.95 ? ` (${formatSize(wire)} over the network)` : "";
  const whole = event.failed === 0 && event.skipped === 0 ? " (100%)" : "";
  const parts = [
    `${verb} ${counted(event.files, "file")}, ${formatSize(bytes)}${whole}${found}${saved}${place}`,
  ];
  parts.push(`in ${ms < 1000 ? `${Math.round(ms)}ms` : formatDuration(ms)}${speed}.`);
  if (event.skipped > 0) parts.push(`Left out: ${event.skipped}.`);
  if (event.failed > 0) parts.push(`Failed: ${event.failed}.`);
  return parts.join(" ");
}

function unfinishedText(
  { kind, name, destination, bytes, bytes_total, updated_at, dropped }: UnfinishedEvent,
): string {
  const of = bytes_total === null ? "" : ` of ${formatSize(bytes_total)}`;
  const when = safe(`${updated_at.slice(0, 16).replace("T", " ")} UTC`);
  const what = `${dropped ? "Dropped: " : ""}${safe(name)}: ${formatSize(bytes)}${of}`;
  if (kind === "transfer") return `${what} into ${safe(destination)}, ${when}`;
  return `${what} of the sync of ${safe(destination)}, ${when}${
    dropped ? "" : "; its next run goes on with it"
  }`;
}

function verifiedText({ files, bytes, failed, duration_ms: ms }: VerifiedEvent): string {
  const took = ms < 1000 ? `${Math.round(ms)}ms` : formatDuration(ms);
  const good = `${counted(files, "file")}, ${formatSize(bytes)}: as they should be`;
  return failed === 0 ? `${good} (${took}).` : `${good}; ${failed} not (${took}).`;
}

function networkText({ possible, text, advice }: NetworkEvent, styles: Styles): string {
  const mark = possible ? styles.green("so     ") : styles.red("so     ");
  const sentence = `${safe(text.slice(0, 1).toUpperCase() + text.slice(1))}.`;
  return `${mark}  ${sentence}${advice === null ? "" : `\n         ${safe(advice)}`}`;
}

function checkText({ status, name, text, advice }: CheckEvent, styles: Styles): string {
  const mark =
    { ok: styles.green("ok     "), note: styles.dim("note   "), problem: styles.red("problem") }[status];
  const line = `${mark}  ${safe(name)}: ${safe(text)}`;
  return advice === null ? line : `${line}\n         ${safe(advice)}`;
}
