// SPDX-License-Identifier: Apache-2.0
// sluicectl: what people and scripts ask of sluice.  Reads the arguments; the verbs are in
// cli_offline (no daemon needed) and cli_live.
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "control/cli_chains.h"
#include "control/cli_detach.h"
#include "control/cli_drops.h"
#include "control/cli_live.h"
#include "control/cli_offline.h"
#include "control/cli_policies.h"
#include "control/cli_report.h"

namespace {

namespace cli = sluice::control::cli;

struct Arguments {
  cli::Daemon daemon{.socket = "/run/sluice/control.sock"};
  cli::CheckArguments check;
  cli::ExplainArguments explain;
  cli::TestArguments test;
  cli::DiffArguments diff;
  cli::ChainsArguments chains;
  cli::DropsArguments drops;
  cli::ReportArguments report;
  std::string expression;
  std::string labels;
  std::string what;
  std::string name;
  std::string config;  // of detach
};

using Run = std::function<int()>;

void add_offline(CLI::App& app, Arguments& a, Run& run) {
  CLI::App* check = app.add_subcommand("check", "say what is wrong with configuration files");
  auto* sources = check->add_option_group("files");
  sources->add_option("-f,--filename", a.check.paths,
                      "resource files or directories; - is stdin");
  sources->add_option("--config", a.check.config, "a sluice.yaml, and all that it names");
  sources->require_option(1);
  check->add_flag("--strict", a.check.strict,
                  "unknown fields are errors; other warnings end with exit code 1");
  check->footer(
      "Exit codes: 0 fine, 1 warnings under --strict, 2 errors.\n"
      "Examples:\n"
      "  sluicectl check -f policy.d\n"
      "  kubectl get networkpolicies -A -o yaml | sluicectl check -f -\n"
      "  sluicectl check --config /etc/sluice/sluice.yaml --strict\n");
  check->callback([&] { run = [&] { return cli::check(a.check, a.daemon.output); }; });

  CLI::App* explain = app.add_subcommand(
      "explain", "say whether a flow's first packet passes, and which rule decides");
  explain->add_option("--config", a.explain.config, "settings file")->required();
  auto* packets = explain->add_option("--packets", a.explain.packets,
                                      "a file of packets, one JSON object a line; - is stdin");
  explain->add_option("flow", a.explain.words, "FROM TO PROTO/PORT")
      ->expected(3)
      ->excludes(packets);
  explain->footer(
      "FROM and TO: an address, NAMESPACE/POD, an interface of a local endpoint, world, or "
      "host.\n"
      "Exit codes: 0 allowed, 1 denied or unknown, 2 bad input; with --packets 0 whatever the\n"
      "verdicts, 2 if a line makes no sense.\n"
      "Examples:\n"
      "  sluicectl explain --config sluice.yaml shop/web-0 shop/db-0 tcp/5432\n"
      "  echo '{\"src\":\"10.244.1.2\",\"dst\":\"10.244.1.3\",\"proto\":\"tcp\",\"dport\":80}' "
      "|\n"
      "    sluicectl explain --config sluice.yaml --packets - -o json\n");
  explain->callback([&] {
    if (a.explain.packets.empty() && a.explain.words.empty()) {
      throw CLI::RequiredError("FROM TO PROTO/PORT, or --packets");
    }
    run = [&] { return cli::explain(a.explain, a.daemon.output); };
  });

  CLI::App* selector = app.add_subcommand("selector", "try a Calico selector on labels");
  selector->add_option("expression", a.expression, "the selector")->required();
  selector->add_option("--labels", a.labels, "KEY=VALUE,KEY=VALUE");
  selector->footer(
      "Exit codes: 0 matches, 1 does not, 2 does not parse.\n"
      "Example:\n"
      "  sluicectl selector \"app in {'web','api'} && !has(canary)\" --labels "
      "app=web,env=prod\n");
  selector->callback(
      [&] { run = [&] { return cli::selector(a.expression, a.labels, a.daemon.output); }; });
}

void add_policies(CLI::App& app, Arguments& a, Run& run) {
  CLI::App* test = app.add_subcommand("test", "run *.test.yaml: what policies should do");
  test->add_option("-f,--filename", a.test.paths,
                   "*.test.yaml, directories of them, and resources beside them")
      ->required();
  test->add_option("--junit", a.test.junit, "write the results as JUnit XML, too");
  test->footer(
      "A test file has endpoints to imagine, if no dump of real ones is beside it, and cases:\n"
      "  fixtures: {endpoints: [{name: shop/web, labels: {app: web}}]}\n"
      "  cases:\n"
      "    - {from: shop/web, to: shop/db, proto: tcp, port: 5432, expect: allow, by: db}\n"
      "FROM and TO: NAMESPACE/POD, an address, world, or host.\n"
      "Exit codes: 0 all pass, 1 some fail, 2 bad input or no cases.\n"
      "Examples:\n"
      "  sluicectl test -f policy.d\n"
      "  sluicectl test -f policy.d -f shop.test.yaml --junit results.xml\n");
  test->callback([&] { run = [&] { return cli::test(a.test, a.daemon.output); }; });

  CLI::App* diff =
      app.add_subcommand("diff", "say which flows between which endpoints change verdict");
  diff->add_option("-f,--filename", a.diff.paths,
                   "OLD, then NEW: resource files or directories")
      ->required()
      ->expected(2);
  diff->add_option("--with", a.diff.with, "resources of both sides, such as a dump of pods");
  diff->add_option("-n,--namespace", a.diff.namespace_name, "only flows with an end in it");
  diff->add_flag("--live", a.diff.live,
                 "ask the daemon how many live connections NEW would cut");
  diff->footer(
      "Compares meaning, not text: every pair of endpoints and all that rules tell apart "
      "outside\n"
      "of them, for every protocol and port that a rule of either side names.\n"
      "Exit codes: 0 no flow changes, 1 some do, 2 bad input, 3 no daemon for --live.\n"
      "Examples:\n"
      "  sluicectl diff -f /etc/sluice/policy.d -f new.d\n"
      "  sluicectl diff -f old.yaml -f new.yaml --with dump.yaml -n shop -o json\n"
      "  sluicectl diff -f old.d -f new.d --live\n");
  diff->callback([&] { run = [&] { return cli::diff(a.diff, a.daemon); }; });

  CLI::App* chains =
      app.add_subcommand("chains", "list the policies as Calico's iptables chains");
  chains->add_option("name", a.chains.name, "only this chain");
  chains->add_option("--config", a.chains.config, "settings file")->required();
  chains->add_flag("--live", a.chains.live, "with the counters of the daemon; zero otherwise");
  chains->footer(
      "pkts are the packets that policy judged, as with iptables behind conntrack.  The files "
      "are\n"
      "read as they are now: what the daemon has not reloaded yet counts nothing.\n"
      "Exit codes: 0 listed, 1 no chain of that name, 2 bad input, 3 no daemon for --live.\n"
      "Examples:\n"
      "  sluicectl chains --config /etc/sluice/sluice.yaml --live\n"
      "  sluicectl chains cali-pi-np/shop/db --config sluice.yaml -o json\n");
  chains->callback([&] { run = [&] { return cli::chains(a.chains, a.daemon); }; });
}

void add_look(CLI::App& app, Arguments& a, Run& run) {
  CLI::App* status = app.add_subcommand("status", "how the daemon is doing");
  status->footer("Example:\n  sluicectl status -o json\n");
  status->callback([&] { run = [&] { return cli::status(a.daemon); }; });

  CLI::App* get = app.add_subcommand("get", "list what the daemon works with");
  get->add_option("what", a.what, "endpoints, policies, programs, routes or connections")
      ->required()
      ->check(CLI::IsMember({"endpoints", "policies", "programs", "routes", "connections"}));
  get->add_option("name", a.name,
                  "only this one: a name, NAMESPACE/NAME, interface or address");
  get->footer(
      "programs: what the policies were compiled to, largest first.  CLASSES and COLUMNS are "
      "the\n"
      "groups of addresses, and of protocols and ports, that a program tells apart; CELLS "
      "their\n"
      "combinations before equal ones were merged, which decide its form.  Programs share "
      "parts:\n"
      "BYTES has them in each, the total once.\n"
      "Exit codes: 0 listed, 1 none of that name, 3 no daemon.\n"
      "Examples:\n"
      "  sluicectl get endpoints\n"
      "  sluicectl get policies shop/db-ingress\n"
      "  sluicectl get programs -o wide\n"
      "  sluicectl get connections 10.244.1.2\n");
  get->callback([&] { run = [&] { return cli::get(a.daemon, a.what, a.name); }; });

  CLI::App* stats = app.add_subcommand(
      "stats", "packets and bytes by port, drop reason and rule; reload times");
  stats->add_option("what", a.what, "ports, drops, rules or reloads; all if left out")
      ->check(CLI::IsMember({"ports", "drops", "rules", "reloads"}));
  stats->footer(
      "reloads: how many took how many seconds, from the signal or request being read until "
      "the\n"
      "first worker, and until every worker, judged packets by the new policies; p50 and p99 "
      "are\n"
      "linear within a bucket.  What was refused is not counted.\n"
      "Examples:\n  sluicectl stats drops\n  sluicectl stats rules -o json\n");
  stats->callback([&] { run = [&] { return cli::stats(a.daemon, a.what); }; });

  CLI::App* drops =
      app.add_subcommand("drops", "packets dropped, by reason; or each as it happens");
  auto* watch = drops->add_flag("--watch", a.drops.watch,
                                "show what is dropped from now on, until interrupted: reason, "
                                "port, rule, header");
  drops->add_option("--reason", a.drops.reason, "only this reason")->needs(watch);
  drops->add_option("--port", a.drops.port, "only what came in by this port")->needs(watch);
  drops->footer(
      "The daemon samples at most 100 drops a second of each reason; \"more before\" counts "
      "the "
      "rest.\n"
      "With -o json, one JSON object a line.\n"
      "Examples:\n"
      "  sluicectl drops\n"
      "  sluicectl drops --watch --reason policy_deny_ingress\n"
      "  sluicectl drops --watch --port cali1a2b3c -o json\n");
  drops->callback([&] { run = [&] { return cli::drops(a.drops, a.daemon); }; });
}

void add_report(CLI::App& app, Arguments& a, Run& run) {
  CLI::App* report = app.add_subcommand("report", "which rules do nothing");
  report->require_subcommand(1);
  CLI::App* unused =
      report->add_subcommand("unused", "rules in force that have not counted since a time");
  unused->add_option("--since", a.report.since,
                     "7d, 1h30m, 2026-11-21 or 2026-11-21T10:00:00Z (UTC); since the daemon "
                     "counts the rule if left out");
  unused->footer(
      "A rule counts when it judges a packet, and while a connection that it admitted carries\n"
      "packets; a staged policy's when it would have judged one.  The daemon looks at the "
      "counters\n"
      "every 10 s: LAST_USED is up to 10 s later than the use, never earlier, so what is "
      "listed was\n"
      "not used since then.  A rule that a reload changes or moves begins anew, "
      "as all\n"
      "do when the daemon starts: COUNTED_SINCE tells.  Rules of policies that select nobody "
      "here are\n"
      "not in force.\n"
      "Exit codes: 0 every rule was used, 1 some were not, 2 bad usage, 3 no daemon.\n"
      "Examples:\n"
      "  sluicectl report unused\n"
      "  sluicectl report unused --since 7d -o json\n");
  unused->callback([&] { run = [&] { return cli::report_unused(a.report, a.daemon); }; });

  CLI::App* shadowed = report->add_subcommand(
      "shadowed", "rules that can never do anything, and the rule that hides each; no daemon");
  auto* files = shadowed->add_option_group("files");
  files->add_option("-f,--filename", a.report.paths,
                    "resource files or directories: the endpoints of all nodes");
  files->add_option("--config", a.report.config, "a sluice.yaml: the endpoints of its node");
  files->require_option(1);
  shadowed->footer(
      "Never: at no endpoint of these files does a packet come to the rule that it matches, "
      "sets\n"
      "having the members that they have now; ALWAYS says that no other members would change "
      "it.\n"
      "HIDER takes the most of the rule's packets.  Rules that match nothing now, as of an "
      "empty\n"
      "set, are not shadowed; those that no endpoint runs are left out.  Of a host endpoint's "
      "rules\n"
      "only those that no packet between any two addresses could come to are told.\n"
      "Exit codes: 0 none, 1 some, 2 bad input.\n"
      "Examples:\n"
      "  sluicectl report shadowed -f policy.d\n"
      "  sluicectl report shadowed --config /etc/sluice/sluice.yaml -o json\n");
  shadowed->callback(
      [&] { run = [&] { return cli::report_shadowed(a.report, a.daemon.output); }; });
}

void add_change(CLI::App& app, Arguments& a, Run& run) {
  CLI::App* reload =
      app.add_subcommand("reload", "read the configuration again, all or nothing");
  reload->footer(
      "Exit codes: 0 in force, 3 no daemon, 4 refused: what ran before runs on.\n"
      "Example:\n  sluicectl reload\n");
  reload->callback([&] { run = [&] { return cli::reload(a.daemon); }; });

#ifdef SLUICE_DETACH  // not where only the offline half is built
  CLI::App* detach =
      app.add_subcommand("detach", "let go of what a daemon that has ended left in the kernel");
  detach->add_option("--config", a.config,
                     "settings file: its control.socket and control.state");
  detach->footer(
      "Under path.onExit: drop, programs stay on the interfaces and drop what was sluice's.\n"
      "Exit codes: 0 done, 4 refused: a daemon runs.\n"
      "Example:\n  sluicectl detach --config /etc/sluice/sluice.yaml\n");
  detach->callback([&] { run = [&] { return cli::detach(a.daemon, a.config); }; });
#endif

  CLI::App* version = app.add_subcommand("version", "versions of sluicectl and the daemon");
  version->footer("Example:\n  sluicectl version\n");
  version->callback([&] { run = [&] { return cli::version(a.daemon); }; });
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what is left to throw is std::bad_alloc
int main(int argc, char** argv) {
  Arguments arguments;
  Run run;
  std::string output = "table";
  CLI::App app{"sluicectl: check, explain and watch sluice"};
  app.require_subcommand(1);
  app.fallthrough();  // -s and -o may follow the verb
  app.add_option("-s,--socket", arguments.daemon.socket, "the daemon's control socket")
      ->envname("SLUICE_SOCKET")
      ->capture_default_str();
  app.add_option("-o,--output", output, "table, wide (get programs: every name) or json")
      ->check(CLI::IsMember({"table", "wide", "json"}))
      ->capture_default_str();
  app.footer(
      "Exit codes: 0 yes, 1 a negative answer, 2 bad usage or input, 3 daemon not reachable,\n"
      "4 refused or rolled back.\n"
      "Examples:\n"
      "  sluicectl check --config /etc/sluice/sluice.yaml\n"
      "  sluicectl explain --config /etc/sluice/sluice.yaml shop/web-0 shop/db-0 tcp/5432\n"
      "  sluicectl get endpoints -o json");
  add_offline(app, arguments, run);
  add_policies(app, arguments, run);
  add_look(app, arguments, run);
  add_report(app, arguments, run);
  add_change(app, arguments, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      app.exit(error);  // --help
      return cli::kYes;
    }
    cli::print_error(error.what(), "sluicectl --help, or sluicectl VERB --help");
    return cli::kBadInput;
  }
  arguments.daemon.output = output == "json" ? cli::Output::json : cli::Output::table;
  arguments.daemon.wide = output == "wide";
  return run();
}
