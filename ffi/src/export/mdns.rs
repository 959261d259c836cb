//! `src/native/mdns.ts`: finding each other on the local network.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::net::mdns::{Announcement, Browser};
use crate::op::{self, Context, Op, OpFuture};

pub const OPERATIONS: &[(&str, Op)] = &[
    ("mdns.announce", announce),
    ("mdns.withdraw", withdraw),
    ("mdns.browse", browse),
    ("mdns.next", next),
    ("mdns.stop", stop),
];

#[derive(Deserialize)]
struct AnnounceArgs {
    service: String,
    instance: String,
    port: u16,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    txt: HashMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct AnnouncementHandle {
    announcement: u32,
}

#[derive(Deserialize)]
struct BrowseArgs {
    service: String,
}

#[derive(Serialize, Deserialize)]
struct BrowserHandle {
    browser: u32,
}

#[derive(Serialize)]
struct FoundResult {
    instance: String,
    host: String,
    port: u16,
    addresses: Vec<String>,
    txt: BTreeMap<String, String>,
}

fn announce(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: AnnounceArgs| async move {
        let parse = |text: &String| {
            let error = || {
                Error::new(Kind::InvalidArgument, format!("Cannot use address \"{text}\": it is not an ip"))
            };
            text.parse::<IpAddr>().map_err(|_| error())
        };
        let addresses = args.addresses.iter().map(parse).collect::<Result<Vec<_>>>()?;
        let started = Announcement::start(&args.service, &args.instance, args.port, &addresses, args.txt)?;
        Ok(AnnouncementHandle { announcement: context.objects.insert(Arc::new(started))? })
    })
}

fn withdraw(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: AnnouncementHandle| async move {
        let announcement = context.objects.remove::<Announcement>(args.announcement)?;
        op::blocking(move || {
            announcement.withdraw();
            Ok(())
        })
        .await
    })
}

fn browse(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: BrowseArgs| async move {
        Ok(BrowserHandle { browser: context.objects.insert(Arc::new(Browser::start(&args.service)?))? })
    })
}

fn next(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: BrowserHandle| async move {
        let found = context.objects.get::<Browser>(args.browser)?.next().await?;
        let addresses = found.addresses.iter().map(IpAddr::to_string).collect();
        Ok(FoundResult {
            instance: found.instance,
            host: found.host,
            port: found.port,
            addresses,
            txt: found.txt,
        })
    })
}

fn stop(context: Context, args: &[u8]) -> OpFuture {
    op::run(context, args, |context, args: BrowserHandle| async move {
        context.objects.remove::<Browser>(args.browser)?.stop();
        Ok(())
    })
}
