import { linksAtRelay, linksBy, memoryLinks } from "./pairs.ts";
import { transferCompliance } from "./transfer.ts";

transferCompliance("memory", memoryLinks);
transferCompliance("tcp", () => linksBy("tcp"));
transferCompliance("quic", () => linksBy("quic"));
transferCompliance("quic", linksAtRelay, { name: "relay" });
