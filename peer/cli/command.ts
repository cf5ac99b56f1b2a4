/**
 * What a command is: a row of the table that `arguments.ts` reads the command line by and `help.ts` prints, and a
 * function that runs with what it is handed. Commands know neither `process` nor how a peer is made, so their tests
 * hand them streams, an environment and a peer of their own.
 */
import type { NetworkName } from "../../shared/ids.ts";
import type { NodeDiagnoseOptions } from "../node.ts";
import type { Finding } from "../api/diagnosis/finding.ts";
import type { Networks } from "../api/networks.ts";
import type { Output } from "./output.ts";
import type { CliPeer, PeerOpenOptions } from "./peer-contract.ts";

export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: boolean;
  /** How help names the value, e.g. `PATH`. */
  readonly value?: string;
  readonly help: string;
}

export interface Command {
  /** One or two words: `get`, `edge dev`. */
  readonly name: string;
  /** Positional arguments as help shows them, e.g. `PATH…`. */
  readonly synopsis: string;
  readonly summary: string;
  readonly positionalsMin: number;
  readonly positionalsMax: number;
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Runs until it is stopped; being stopped is then success (exit 0, not 130). */
  readonly serves: boolean;
  /**
   * Rejects with a PeerloomError that is shown to the user. `unwell`: what was asked has been told, and it is not good news; the exit
   * code is 1.
   */
  run(context: CommandContext): Promise<void | "done" | "unwell">;
}

/** The options that every command takes, read and checked. */
export interface CommonOptions {
  /** null: no edge at all; undefined: none was named. */
  readonly edge: string | null | undefined;
  readonly network: NetworkName | undefined;
  /** `-` is standard input. */
  readonly inviteFile: string | undefined;
  readonly secretFile: string | undefined;
  readonly data: string | undefined;
  readonly listen: string | undefined;
  readonly mapPorts: true | undefined;
  readonly bootstrap: readonly string[];
  readonly only: "direct" | "relay" | undefined;
  /** Undefined: as the peer decides by itself. */
  readonly lan: false | undefined;
  readonly json: boolean;
}

/** A command's own options as they were typed. */
export interface CommandValues {
  text(name: string): string | undefined;
  /** Of an option that may be repeated. */
  texts(name: string): readonly string[];
  flag(name: string): boolean;
  /** Of an option that may be given several times, or has several words behind it. */
  list(name: string): readonly string[];
  /** @throws PeerloomError `usage/invalid` when the value is not an integer from `min` to `max` */
  integer(
    name: string,
    bounds: { readonly min: number; readonly max: number; readonly default: number },
  ): number;
}

export interface EdgeOptions {
  readonly host: string;
  readonly port: number;
  readonly stateDir?: string;
  /** Variables of the Worker. */
  readonly vars?: Readonly<Record<string, string>>;
}

export interface RunningEdge {
  readonly url: string;
  stop(): Promise<void>;
}

/** What the command line asks of the program it runs in. */
export interface CliHost {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly homeFolder: string;
  readonly workingFolder: string;
  /** Makes a peer with this runtime's adapter. */
  openPeer(options: PeerOpenOptions): Promise<CliPeer>;
  /** The private networks of a data folder. */
  networks(folder: string): Promise<Networks>;
  /** Looks at this machine's way to others. @throws PeerloomError `usage/invalid`, `id/invalid`, `aborted` */
  diagnose(options: NodeDiagnoseOptions): AsyncGenerator<Finding, void>;
  /** @throws PeerloomError `edge/tools-missing` */
  startEdge(options: EdgeOptions): Promise<RunningEdge>;
  /** wrangler's program, for Node. @throws PeerloomError `edge/tools-missing` */
  wranglerPath(): string;
  /** All of standard input. @throws PeerloomError `usage/invalid` past so many bytes */
  readInput(bytesMax: number): Promise<Uint8Array>;
  /** Standard input, line by line as they come. */
  readLines(): AsyncIterable<string>;
  /** One line from whoever sits at the terminal. Left out where nobody does. @throws PeerloomError `aborted` */
  ask?(question: string, signal: AbortSignal): Promise<string>;
  /** The program and arguments that start this command line again in a process of its own. */
  readonly self: readonly string[];
}

export interface CommandContext {
  readonly command: Command;
  readonly options: CommonOptions;
  readonly values: CommandValues;
  readonly positionals: readonly string[];
  /** What followed `--`. */
  readonly rest: readonly string[];
  readonly output: Output;
  readonly host: CliHost;
  /** Aborted by SIGINT, SIGTERM, or when nobody reads what a server prints. */
  readonly signal: AbortSignal;
}
