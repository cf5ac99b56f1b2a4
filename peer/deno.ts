/**
 * peerloom for Deno. Deno runs Node's modules, so the host is Node's; ciphers and addons that it lacks are found missing
 * at the start and done without.
 */
export * from "./node.ts";
