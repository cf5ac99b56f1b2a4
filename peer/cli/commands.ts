/** Every command there is, in the order help shows them. */
import type { Command } from "./command.ts";
import { runModule, work } from "./compute.ts";
import { demo } from "./demo.ts";
import { doctor } from "./doctor.ts";
import { edgeAdmin } from "./edge-admin.ts";
import { edgeCost } from "./edge-cost.ts";
import { edgeDeploy } from "./edge-deploy.ts";
import { edgeDev } from "./edge-dev.ts";
import { get } from "./get.ts";
import { id } from "./id.ts";
import { ban, invite, inviteList, inviteRevoke, unban } from "./invites.ts";
import { networkCreate } from "./network-create.ts";
import { networkKey } from "./network-key.ts";
import { ping } from "./ping.ts";
import { expose, forward } from "./ports.ts";
import { lookup, put, set } from "./records.ts";
import { search } from "./search.ts";
import { share } from "./share.ts";
import { sim } from "./sim.ts";
import { status } from "./status.ts";
import { pub, sub } from "./topics.ts";
import { up } from "./up.ts";

export const COMMANDS: readonly Command[] = [
  demo,
  edgeDev,
  edgeDeploy,
  edgeCost,
  edgeAdmin,
  up,
  share,
  get,
  search,
  pub,
  sub,
  ping,
  expose,
  forward,
  put,
  set,
  lookup,
  work,
  runModule,
  networkCreate,
  networkKey,
  invite,
  inviteList,
  inviteRevoke,
  ban,
  unban,
  status,
  doctor,
  id,
  sim,
];
