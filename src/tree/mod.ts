/**
 * What is on disk, as names and directories: checks what peers call things. Never opens a file (the native library
 * does). Spec: wire/spec/manifest.md §3.
 */
export { type Directory, DirectoryTable, type NewDirectory } from "./directories.ts";
export { type EntryName, parseName, PLATFORM, type Platform, printable, safeLinkTarget } from "./path.ts";
