/** The types that both entry points export. */
export type { ConnectionHandler, PeerJsConnection, PeerJsConnectOptions, ServerState } from "./contract.ts";
export type { PeerJsDoorOptions } from "./options.ts";
export type { Serialization } from "./serialization.ts";
export type { IceServer } from "../runtime.ts";
export type { Stream } from "../session/contract.ts";
export type { ErrorCode } from "../../shared/errors.ts";
