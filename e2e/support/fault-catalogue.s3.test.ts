import { setTimeout as sleep } from "node:timers/promises";
import { HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { faultsFor } from "./fault-catalogue.ts";
import { BODY, get, put, stored, useProxyDesk } from "./proxy-desk-fixtures.ts";

const at = useProxyDesk();

describe("every fault of the catalogue befalls its request, and the same request then passes:", () => {
  const ranged = (key: string) => get(at, key, "bytes=10-99");
  const requests = [
    ["put", (key: string) => put(at, key)],
    ["get", ranged],
    ["head", (Key: string) => at.client.send(new HeadObjectCommand({ Bucket: at.bucket, Key }))],
  ] as const;
  const cases = requests.flatMap(([operation, send]) =>
    faultsFor(operation).map(({ name, fault }) => ({ operation, name, fault, send })),
  );
  test.each(cases)("$operation: $name", async ({ operation, name, fault, send }) => {
    const key = `catalogue/${name}`;
    await at.store.client.send(new PutObjectCommand({ Bucket: at.bucket, Key: key, Body: BODY }));
    const rule = at.proxy.rule({ operation, fault });
    const ended = send(key).then(
      () => true,
      () => true,
    );
    // Those that would never end are cut off with the connection.
    if (!(await Promise.race([ended, sleep(500, false)]))) {
      await at.proxy.goOffline();
      await at.proxy.goOnline();
      await ended;
    }
    expect([rule.fired, at.proxy.exchanges[0]?.fault]).toEqual([1, fault.kind]);
    await send(key);
    expect(await stored(at, key)).toEqual(BODY);
  });
});
