import "uplot/dist/uPlot.min.css";
import "./page.css";
import "./main.ts";
