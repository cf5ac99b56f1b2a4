/** Private networks whose code is loaded by the first thing that is done with them. */
import type { Networks as NetworksClass } from "../networks.ts";
import type { OnDemand } from "../on-demand.ts";
import type { Networks } from "../parts.ts";

export class LaterNetworks implements Networks {
  readonly #networks: OnDemand<NetworksClass>;

  constructor(networks: OnDemand<NetworksClass>) {
    this.#networks = networks;
  }

  create: Networks["create"] = async () => (await this.#networks.get()).create();
  ownerKey: Networks["ownerKey"] = async (...call) => (await this.#networks.get()).ownerKey(...call);
  own: Networks["own"] = async (...call) => (await this.#networks.get()).own(...call);
  owned: Networks["owned"] = async () => (await this.#networks.get()).owned();
  named: Networks["named"] = async (...call) => (await this.#networks.get()).named(...call);
  invite: Networks["invite"] = async (...call) => (await this.#networks.get()).invite(...call);
  roster: Networks["roster"] = async (...call) => (await this.#networks.get()).roster(...call);
  invites: Networks["invites"] = async (...call) => (await this.#networks.get()).invites(...call);
}
