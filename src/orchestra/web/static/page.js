// What every page does with JavaScript. Without it pages are complete, but do not change by themselves.

import { returnWhenWell } from "./errors.js";
import { keepTimes } from "./times.js";

keepTimes();
returnWhenWell();
