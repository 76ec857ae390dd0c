import ipaddr from 'ipaddr.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A network that an address may be in: an address and the length of the prefix. */
export type Network = readonly [Address, number];

/** Reads `10.0.0.0/8` or `::1` (one address). @throws TypeError for anything else */
export function parseNetwork(text: string): Network {
  try {
    if (text.includes('/')) return ipaddr.parseCIDR(text);
    const address = ipaddr.parse(text);
    return [address, address.kind() === 'ipv4' ? 32 : 128];
  } catch (cause) {
    throw new TypeError(`not a network: ${text.slice(0, 60)}`, { cause });
  }
}

/** Public by its range, and yet answered by the cloud's own host: Azure's WireServer. */
const deniedPublic: readonly Network[] = ['168.63.129.16/32'].map(parseNetwork);

/**
 * What is in use as global unicast, by IANA. Only this is allowed, so that every carrier of an IPv4 address
 * outside of it is denied without being known here: IPv4-compatible `::/96`, NAT64 `64:ff9b::/96` and
 * `64:ff9b:1::/48`, unique local, link-local, site-local, multicast, documentation `5f00::/16`.
 */
const global6: Network = parseNetwork('2000::/3');

/** Inside `2000::/3`: Teredo and the rest of the IETF's block, documentation, 6to4, documentation again. */
const denied6: readonly Network[] = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'].map(
  parseNetwork,
);

/**
 * Why deliveries must not reach an address; null when they may.
 *
 * The address is text in any spelling that `inet_aton` or an IPv6 parser reads, zone included.
 * `::ffff:a.b.c.d` is judged as the IPv4 address that it stands for.
 */
export function deniedAddress(text: string, allowed: readonly Network[]): string | null {
  const address = parseAddress(text);
  if (address === null) return 'it is not an address';
  if (allowed.some((network) => within(address, network))) return null;
  const range = address.range();
  if (range !== 'unicast') return `it is in the range "${range}"`;
  if (deniedPublic.some((network) => within(address, network))) return 'it is a metadata service';
  if (address.kind() === 'ipv4') return null;
  if (!within(address, global6)) return 'it is outside of 2000::/3';
  if (denied6.some((network) => within(address, network))) return 'it is in a special-purpose block';
  // ISATAP: any prefix, then 0:5efe or 200:5efe and an IPv4 address.
  const parts = (address as ipaddr.IPv6).parts;
  if ((parts[4] === 0 || parts[4] === 0x0200) && parts[5] === 0x5efe) return 'it is an ISATAP address';
  return null;
}

/** The address that a text stands for, IPv4-mapped ones as IPv4; null when it is a name. */
export function parseAddress(text: string): Address | null {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  try {
    return ipaddr.process(bare);
  } catch {
    return null;
  }
}

function within(address: Address, [network, bits]: Network): boolean {
  if (address.kind() !== network.kind()) return false;
  return address.kind() === 'ipv4'
    ? (address as ipaddr.IPv4).match(network, bits)
    : (address as ipaddr.IPv6).match(network, bits);
}
