"""Reads an exported incident with what others read such files with, and says what they make of it.

Usage: incident_readers.py DIR
"""

import json
import re
import sys
from pathlib import Path

from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from pymisp import MISPEvent
from stix2validator import ValidationOptions, validate_file


def stix(path):
    result = validate_file(str(path), ValidationOptions(version="2.1"))
    errors = [str(error) for of in result.object_results for error in of.errors] if result.object_results else []
    assert result.is_valid, f"stix2-validator: {errors or result.log_output if hasattr(result, 'log_output') else errors}"
    bundle = json.loads(path.read_text())
    kinds = sorted({thing["type"] for thing in bundle["objects"]})
    assert "incident" in kinds and "impact" in kinds, kinds
    # The canary: the validator would have seen a required field that is missing.
    incident = next(thing for thing in bundle["objects"] if thing["type"] == "incident")
    del incident["name"]
    broken = path.with_name("broken.json")
    broken.write_text(json.dumps(bundle))
    assert not validate_file(str(broken), ValidationOptions(version="2.1")).is_valid, "it sees nothing"
    broken.unlink()
    return len(bundle["objects"])


def misp(path):
    event = MISPEvent()
    event.load_file(str(path))
    again = json.loads(event.to_json())
    assert len(again["Attribute"]) == len(json.loads(path.read_text())["Event"]["Attribute"])
    names = {tag.name for tag in event.tags}
    assert any(name.startswith("estimative-language:") for name in names) or "tlp:amber" in names, names
    return len(event.attributes)


def ocsf(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["class_uid"] == 2005, "the first is the incident"
    for key in ("activity_id", "category_uid", "finding_info_list", "metadata", "severity_id", "status_id", "time", "type_uid"):
        assert key in lines[0], key
    assert lines[0]["finding_info_list"][0]["uid"] and lines[0]["assignee_group"]["name"], "who has it in hand"
    assert lines[0]["type_uid"] == lines[0]["class_uid"] * 100 + lines[0]["activity_id"]
    found = [DetectionFinding(**line) for line in lines[1:]]
    return len(found)


def cacao(path):
    """The structure that sections 3 and 4 of CACAO 2.0 ask for; its schema is on no package registry."""
    playbook = json.loads(path.read_text())
    assert playbook["type"] == "playbook" and playbook["spec_version"] == "cacao-2.0"
    workflow, agents = playbook["workflow"], playbook["agent_definitions"]
    for key in ("id", "name", "created_by", "created", "modified"):
        assert playbook[key], key
    # Where a type is declared there must be an activity, and each must be in a step.
    activities = {command["playbook_activity"] for step in workflow.values() for command in step.get("commands", [])}
    assert activities and activities == set(playbook["playbook_activities"]), activities
    names = [playbook["id"], playbook["created_by"], *workflow, *agents]
    uuids = [name.split("--")[1] for name in names]
    assert len(set(uuids)) == len(uuids), "a UUID stands for two things"
    for uuid in uuids:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid), uuid
    seen, at = set(), playbook["workflow_start"]
    while True:
        assert at not in seen, f"a circle at {at}"
        seen.add(at)
        step = workflow[at]
        assert at.split("--")[0] == step["type"], at
        if step["type"] == "end":
            break
        if step["type"] == "action":
            assert step["agent"] in agents and step["commands"], at
        at = step["on_completion"]
    assert seen == set(workflow), "a step that nothing leads to"
    return len(seen)


def timesketch(path):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        assert line["message"] and line["datetime"] and line["timestamp_desc"], line
    return len(lines)


place = Path(sys.argv[1])
counted = {
    "stix": stix(place / "stix.json"),
    "misp": misp(place / "misp.json"),
    "ocsf": ocsf(place / "ocsf.ndjson"),
    "cacao": cacao(place / "playbook.cacao.json"),
    "timesketch": timesketch(place / "timeline.jsonl"),
}
print(json.dumps(counted))
