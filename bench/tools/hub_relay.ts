/** Where a hub's relay is and what opens it, as the hub tells its clients. */
import { HubClient } from "../../tests/e2e/faults/hub_client.ts";

/** Asks the hub at `hub` on this machine. */
export async function relayOf(hub: URL): Promise<{ url: string; token: string }> {
  using client = await HubClient.connect(hub, "asks");
  const { relay } = client.told[0]!.welcome as { relay: { token: string; port?: number } };
  return { url: `http://127.0.0.1:${relay.port ?? hub.port}/`, token: relay.token };
}
