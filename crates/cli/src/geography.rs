//! Which country an address is in, as an operator's file says (MMDB). It is told, never asked for a decision.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use maxminddb::{Reader, WithinOptions};
use portcullis_store::requests::Top;
use serde::Deserialize;

use crate::world::plain;
use crate::{Failure, configuration, world};

/// What is said where there is no such file.
pub(crate) const NONE: &str = "no file says which country an address is in: declare `file` in `[geography]`";
/// Networks that are looked up for one ranking, the most frequent first.
pub(crate) const NETWORKS: usize = 262_144;
/// Entries that are looked at, until one names a country.
const LOOKED_AT: usize = 1_000;

/// Countries of addresses.
pub(crate) struct Countries(Reader<Vec<u8>>);

/// As much of an entry as is read, in the forms that files of countries have.
#[derive(Debug, Deserialize)]
struct Entry {
    /// MaxMind's and DB-IP's: a map with the code.
    country: Option<Country>,
    /// Flat ones, such as those of public registries: the code itself.
    country_code: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country {
    Coded {
        iso_code: Option<String>,
    },
    /// Flat too: a code in some files, and a name beside the code in others.
    Word(String),
}

impl Entry {
    /// The code (ISO 3166-1). Somebody else wrote the file: a code is two letters, or it is none.
    fn code(self) -> Option<String> {
        let of_country = match self.country {
            Some(Country::Coded { iso_code }) => iso_code,
            Some(Country::Word(word)) => Some(word),
            None => None,
        };
        let is_code = |code: &String| code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        [of_country, self.country_code].into_iter().flatten().find(is_code)
    }
}

/// Those of the file that a configuration names; nothing where it names none.
pub(crate) fn declared(config: &Path) -> Result<Option<Countries>, Failure> {
    let Some(file) = configuration::policy(config)?.geography else { return Ok(None) };
    let unread = |why: String| Failure::because(format!("cannot read {}: {why}", file.display()));
    Countries::open(&file).map(Some).map_err(unread)
}

impl Countries {
    /// Those of a file.
    pub(crate) fn open(file: &Path) -> Result<Self, String> {
        Self::read(&world::read_file(file).map_err(|error| plain(&error))?)
    }

    /// When the file was made, in milliseconds since 1970, as it says itself.
    pub(crate) fn built(&self) -> u64 {
        self.0.metadata().build_epoch.saturating_mul(1_000)
    }

    /// Reads a file's bytes, and sees that it tells countries at all.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let reader = Reader::from_source(bytes.to_vec()).map_err(|error| error.to_string())?;
        let entries = reader.networks(WithinOptions::default()).map_err(|error| error.to_string())?;
        let mut some = false;
        for entry in entries.take(LOOKED_AT) {
            let entry = entry.and_then(|entry| entry.decode::<Entry>()).map_err(|error| error.to_string())?;
            some |= entry.and_then(Entry::code).is_some();
            if some {
                break;
            }
        }
        if some { Ok(Self(reader)) } else { Err("none of its entries names a country".to_owned()) }
    }

    /// The code of the country (ISO 3166-1), where the file has one.
    pub(crate) fn of(&self, address: IpAddr) -> Option<String> {
        let entry: Entry = self.0.lookup(address).ok()?.decode().ok()??;
        entry.code()
    }

    /// Networks as the countries that their first addresses are in. What is in none is under the empty name.
    pub(crate) fn ranked(&self, networks: &Top, most: usize) -> Top {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (network, requests) in &networks.values {
            let country = first(network).and_then(|address| self.of(address)).unwrap_or_default();
            *sums.entry(country).or_default() += requests;
        }
        let told: u64 = sums.values().sum();
        let mut values: Vec<(Box<[u8]>, u64)> =
            sums.into_iter().map(|(country, requests)| (country.into_bytes().into(), requests)).collect();
        values.sort_by_key(|(_, requests)| std::cmp::Reverse(*requests));
        values.truncate(most);
        Top { values, rows: networks.rows, short: networks.short.max(networks.rows.saturating_sub(told)) }
    }
}

/// The first address of a network as it is ranked: three bytes of IPv4, seven of IPv6.
fn first(network: &[u8]) -> Option<IpAddr> {
    match network {
        [one, two, three] => Some(Ipv4Addr::new(*one, *two, *three, 0).into()),
        _ if network.len() == 7 => {
            let mut octets = [0; 16];
            octets.iter_mut().zip(network).for_each(|(octet, byte)| *octet = *byte);
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A database of countries, written as the format says (maxmind.github.io/MaxMind-DB): a tree of bits, what its leaves
    /// point at, and what the whole is.
    fn made(networks: &[(&str, u8, &str)], key: &str) -> Vec<u8> {
        written(networks, |country, data| {
            data.push(0xe1);
            text(key, data);
            data.push(0xe1);
            text("iso_code", data);
            text(country, data);
        })
    }

    fn written(networks: &[(&str, u8, &str)], entry: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
        let mut nodes: Vec<[Option<usize>; 2]> = vec![[None; 2]];
        let (mut leaves, mut data) = (Vec::new(), Vec::new());
        for (address, length, country) in networks {
            let address: IpAddr = address.parse().expect("an address");
            let (bits, length) = match address {
                // IPv4 lies in ::/96.
                IpAddr::V4(address) => (u128::from(address.to_bits()), 96 + length),
                IpAddr::V6(address) => (address.to_bits(), *length),
            };
            let mut node = 0;
            for depth in 0..length {
                let bit = (bits >> (127 - depth) & 1) as usize;
                if depth + 1 == length {
                    leaves.push((node, bit, data.len()));
                } else {
                    let fresh = nodes.len();
                    let next = *nodes[node][bit].get_or_insert(fresh);
                    if next == fresh {
                        nodes.push([None; 2]);
                    }
                    node = next;
                }
            }
            entry(country, &mut data);
        }
        let count = nodes.len();
        let mut records: Vec<[usize; 2]> = nodes.iter().map(|node| node.map(|next| next.unwrap_or(count))).collect();
        leaves.iter().for_each(|(node, bit, at)| records[*node][*bit] = count + 16 + at);
        let mut file: Vec<u8> = Vec::new();
        records.iter().flatten().for_each(|record| file.extend_from_slice(&(*record as u32).to_be_bytes()[1..]));
        file.extend_from_slice(&[0; 16]);
        file.extend_from_slice(&data);
        file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        file.push(0xe9);
        let short = |name: &str, value: u16, file: &mut Vec<u8>| {
            text(name, file);
            file.push(0xa2);
            file.extend_from_slice(&value.to_be_bytes());
        };
        short("binary_format_major_version", 2, &mut file);
        short("binary_format_minor_version", 0, &mut file);
        short("ip_version", 6, &mut file);
        short("record_size", 24, &mut file);
        text("node_count", &mut file);
        file.push(0xc4);
        file.extend_from_slice(&(count as u32).to_be_bytes());
        text("build_epoch", &mut file);
        file.extend_from_slice(&[0x08, 0x02]);
        file.extend_from_slice(&1_795_302_000_u64.to_be_bytes());
        text("database_type", &mut file);
        text("Made-Country", &mut file);
        text("languages", &mut file);
        file.extend_from_slice(&[0x00, 0x04]);
        text("description", &mut file);
        file.push(0xe0);
        file
    }

    fn text(text: &str, out: &mut Vec<u8>) {
        let length = u8::try_from(text.len()).expect("short");
        assert!(length < 29, "{text}");
        out.push(0x40 | length);
        out.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn file() -> Vec<u8> {
        made(
            &[("203.0.113.0", 24, "DK"), ("198.51.100.0", 24, "SE"), ("192.0.2.0", 25, "??"), ("2001:db8::", 32, "DK")],
            "country",
        )
    }

    #[test]
    fn addresses_are_in_the_countries_that_the_file_says() {
        let countries = Countries::read(&file()).expect("a database");
        for (address, country) in [
            ("203.0.113.9", Some("DK")),
            ("198.51.100.255", Some("SE")),
            ("2001:db8:7::1", Some("DK")),
            ("192.0.2.1", None),
            ("192.0.2.200", None),
            ("10.0.0.1", None),
            ("2001:db9::1", None),
        ] {
            assert_eq!(countries.of(address.parse().expect("an address")).as_deref(), country, "{address}");
        }
    }

    #[test]
    fn flat_files_of_countries_are_read_too() {
        let networks = [("203.0.113.0", 24, "DK"), ("198.51.100.0", 24, "??"), ("192.0.2.0", 24, "dk")];
        let flat = |fields: &'static [(&'static str, &'static str)]| {
            written(&networks, move |country, data| {
                data.push(0xe0 | u8::try_from(fields.len()).expect("few"));
                for (key, value) in fields {
                    text(key, data);
                    text(if value.is_empty() { country } else { value }, data);
                }
            })
        };
        for fields in [
            &[("country_code", "")][..],
            &[("country", "")],
            &[("country", "Denmark"), ("country_code", "")],
            &[("asn", "AS64496"), ("country_code", ""), ("continent", "EU")],
        ] {
            let countries = Countries::read(&flat(fields)).unwrap_or_else(|why| panic!("{fields:?}: {why}"));
            let of = |address: &str| countries.of(address.parse().expect("an address"));
            assert_eq!(of("203.0.113.9").as_deref(), Some("DK"), "{fields:?}");
            assert_eq!((of("198.51.100.1"), of("192.0.2.1")), (None, None), "{fields:?}: no code, no country");
        }
        let names_alone = Countries::read(&flat(&[("country", "Denmark")]));
        assert_eq!(names_alone.err().as_deref(), Some("none of its entries names a country"));
    }

    #[test]
    fn networks_become_countries_and_what_is_left_out_is_said() {
        let countries = Countries::read(&file()).expect("a database");
        let network = |octets: &[u8], requests: u64| (Box::from(octets), requests);
        let values = vec![
            network(&[203, 0, 113], 30),
            network(&[198, 51, 100], 40),
            network(&[0x20, 1, 0xd, 0xb8, 0, 7, 0], 20),
            network(&[10, 0, 0], 5),
        ];
        let ranked = countries.ranked(&Top { values, rows: 100, short: 0 }, 2);
        let told: Vec<(&[u8], u64)> = ranked.values.iter().map(|(value, count)| (&**value, *count)).collect();
        assert_eq!(told, [(&b"DK"[..], 50), (&b"SE"[..], 40)]);
        assert_eq!((ranked.rows, ranked.short), (100, 5), "five came from networks that were not looked up");
    }

    #[test]
    fn what_is_no_such_file_is_refused_in_words() {
        for bytes in [&b""[..], b"countries", &file()[..200]] {
            assert!(Countries::read(bytes).is_err());
        }
        let other = made(&[("203.0.113.0", 24, "DK")], "autonomous");
        assert_eq!(Countries::read(&other).err().as_deref(), Some("none of its entries names a country"));
        // Whatever is in it, it is an error and no panic.
        let sound = file();
        for at in 0..sound.len() {
            let mut broken = sound.clone();
            broken[at] ^= 0x5f;
            if let Ok(countries) = Countries::read(&broken) {
                countries.of("203.0.113.9".parse().expect("an address"));
            }
        }
    }
}
