// SPDX-License-Identifier: Apache-2.0
// Dataflows, structures, availability and data through npm sdmx-rest, and the data through npm sdmx-json-parser.
import parser from "sdmx-json-parser";
import client from "sdmx-rest";

const { proxy } = JSON.parse(process.env.WORDS);
const services = {
  v1: client.getService({ url: `${proxy}/sdmx/v1`, api: "v1.5.0" }),
  v2: client.getService({ url: `${proxy}/sdmx/v2`, api: "v2.0.0" }),
};
const asked = async (service, query) =>
  JSON.parse(await client.request(query, services[service], { headers: { accept: "application/json" } }));
const told = {};

const flow = "GATEWAY:FLOW(1.0.0)";
told.flows = (await asked("v2", client.getMetadataQuery({ resource: "dataflow", agency: "GATEWAY" }))).data.dataflows
  .map(({ id }) => id);
const structure = { resource: "datastructure", agency: "GATEWAY", id: "FLOW", references: "children" };
const described = (await asked("v2", client.getMetadataQuery(structure))).data;
told.dimensions = described.dataStructures[0].dataStructureComponents.dimensionList.dimensions.map(({ id }) => id);
told.lists = described.codelists.map(({ id }) => id);
const open = client.getAvailabilityQuery2({ context: `dataflow=${flow}`, references: "codelist" });
told.available = Object.keys((await asked("v2", open)).data);
const filtered = { context: `dataflow=${flow}`, filters: ["REF_AREA=USA", "CITIZENSHIP=GTM,HND"], lastNObs: 1 };
const counted = ({ data }) =>
  Object.values(data.dataSets[0].series).flatMap(({ observations }) => Object.values(observations).map(([value]) => value));
told.newest = counted(await asked("v2", client.getDataQuery2(filtered)));
told.older = counted(await asked("v1", client.getDataQuery({ flow: "FLOW", key: "..USA...........", end: "2024-01" })));

for (const at of ["TIME_PERIOD", "AllDimensions"]) {
  const read = new parser.SDMXParser();
  const url = `${proxy}/sdmx/v2/data/dataflow/GATEWAY/FLOW/1.0.0/*?c[REF_AREA]=USA&dimensionAtObservation=${at}`;
  await read.getDatasets(url, { headers: { "accept-language": "es" } });
  told[at] = { name: read.getName(), rows: read.getData().map(({ value, CITIZENSHIP }) => [CITIZENSHIP, value]) };
}
console.log(JSON.stringify(told));
